#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "lines.h"

/* A model of more operators than this is cut off here. */
enum { MOST_OPS = 4096 };

typedef struct {
    char *name, *kind;
    uint64_t ns, calls;
} Op;

static Op ops[MOST_OPS];
static size_t op_count;

static char *copy_of(const char *text) {
    char *copy = strdup(text);
    if (!copy) give_up(FAIL_MEMORY, "not enough for a profile");
    return copy;
}

void profile_add(const char *name, const char *kind, uint64_t ns, bool but_first) {
    size_t i = 0;
    while (i < op_count && (strcmp(ops[i].name, name) || strcmp(ops[i].kind, kind))) i++;
    if (i == MOST_OPS) return;
    if (i == op_count) {
        ops[i] = (Op){copy_of(name), copy_of(kind), 0, 0};
        op_count++;
        if (but_first) return;
    }
    ops[i].ns += ns;
    ops[i].calls++;
}

void profile_say(void) {
    line_begin("profile");
    line_open("ops", '[');
    for (size_t i = 0; i < op_count; i++) {
        line_open(NULL, '{');
        line_text("name", ops[i].name);
        line_text("kind", ops[i].kind);
        line_count("ns", ops[i].ns);
        line_count("calls", ops[i].calls);
        line_close('}');
    }
    line_close(']');
    line_end();
}
