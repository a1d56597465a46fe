#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"

static char text[1 << 16];
static size_t used;
static bool first_value;
static int output = STDOUT_FILENO;

void lines_open(void) {
    signal(SIGPIPE, SIG_IGN);
    int own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (own < 0) _exit(FAIL_OUTPUT);
    output = own;
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) close(STDOUT_FILENO);
}

static void send_out(void) {
    for (size_t sent = 0; sent < used;) {
        ssize_t now = write(output, text + sent, used - sent);
        if (now < 0 && errno == EINTR) continue;
        if (now <= 0) _exit(FAIL_OUTPUT);
        sent += (size_t)now;
    }
    used = 0;
}

static void put(const char *bytes, size_t count) {
    if (used + count > sizeof text) send_out();
    memcpy(text + used, bytes, count);
    used += count;
}

static void put_text(const char *word) { put(word, strlen(word)); }

/* The code point at *at, which moves on; U+FFFD for what is not UTF-8. */
static uint32_t code_point(const unsigned char **at) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t first = *(*at)++;
    if (first < 0x80) return first;
    if (first < 0xc0 || first > 0xf7) return 0xfffd;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t point = first & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        if ((**at & 0xc0) != 0x80) return 0xfffd;
        point = point << 6 | (*(*at)++ & 0x3f);
    }
    bool sound = point >= least[more] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return sound ? point : 0xfffd;
}

static void put_unit(uint32_t unit) {
    char escape[8];
    put(escape, (size_t)snprintf(escape, sizeof escape, "\\u%04" PRIx32, unit & 0xffff));
}

static void put_string(const char *value) {
    put_text("\"");
    for (const unsigned char *at = (const unsigned char *)value; *at;) {
        uint32_t point = code_point(&at);
        if (point >= 0x10000) {
            put_unit(0xd800 + ((point - 0x10000) >> 10));
            put_unit(0xdc00 + ((point - 0x10000) & 0x3ff));
        } else if (point < 0x20 || point > 0x7e || point == '"' || point == '\\') {
            put_unit(point);
        } else {
            char plain = (char)point;
            put(&plain, 1);
        }
    }
    put_text("\"");
}

static void put_key(const char *key) {
    if (!first_value) put_text(", ");
    first_value = false;
    if (!key) return;
    put_string(key);
    put_text(": ");
}

static void put_count(uint64_t value) {
    char digits[24];
    put(digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value));
}

void line_begin(const char *event) {
    /* What an interrupted line had so far is not to be seen. */
    used = 0;
    first_value = true;
    put_text("{");
    line_text("event", event);
}

void line_text(const char *key, const char *value) {
    put_key(key);
    put_string(value);
}

void line_word(const char *key, const char *word) {
    put_key(key);
    put_text(word);
}

void line_count(const char *key, uint64_t value) {
    put_key(key);
    put_count(value);
}

void line_counts(const char *key, const uint64_t *values, size_t count) {
    line_open(key, '[');
    for (size_t i = 0; i < count; i++) line_count(NULL, values[i]);
    line_close(']');
}

void line_open(const char *key, char bracket) {
    put_key(key);
    put(&bracket, 1);
    first_value = true;
}

void line_close(char bracket) {
    put(&bracket, 1);
    first_value = false;
}

void line_end(void) {
    put_text("}\n");
    send_out();
}
