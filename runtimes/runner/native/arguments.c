#include "arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"

enum { MOST_THREADS = 1024 };
static const double LONGEST_SECONDS = 1e6, NS_PER_SECOND = 1e9;

static uint64_t count_in(const char *option, const char *word, uint64_t least, uint64_t most) {
    char *rest = NULL;
    errno = 0;
    unsigned long long value = *word >= '0' && *word <= '9' ? strtoull(word, &rest, 10) : 0;
    if (!rest || *rest || errno || value < least || value > most)
        give_up(FAIL_USAGE, "%s %s: not a whole number between %llu and %llu", option, word,
                (unsigned long long)least, (unsigned long long)most);
    return value;
}

static uint64_t seconds_in(const char *option, const char *word) {
    char *rest = NULL;
    double value = *word >= '0' && *word <= '9' ? strtod(word, &rest) : -1;
    /* Not `value > longest`: NaN is refused, too. */
    if (!rest || *rest || !(value >= 0 && value <= LONGEST_SECONDS))
        give_up(FAIL_USAGE, "%s %s: not a number of seconds between 0 and 1000000", option, word);
    return (uint64_t)(value * NS_PER_SECOND);
}

static void cores_in(Arguments *arguments, const char *word) {
    char copy[MOST_CORES * 5], *rest = NULL;
    if (strlen(word) >= sizeof copy || !*word) give_up(FAIL_USAGE, "--affinity: not a list of cores like 4,5");
    strcpy(copy, word);
    for (char *core = strtok_r(copy, ",", &rest); core; core = strtok_r(NULL, ",", &rest)) {
        if (arguments->core_count == MOST_CORES) give_up(FAIL_USAGE, "--affinity: too many cores");
        arguments->cores[arguments->core_count++] = (int)count_in("--affinity", core, 0, MOST_CORES - 1);
    }
    if (!arguments->core_count) give_up(FAIL_USAGE, "--affinity %s: not a list of cores like 4,5", word);
}

static bool take_text(Arguments *arguments, const char *option, const char *value) {
    const struct {
        const char *option;
        const char **place;
    } texts[] = {
        {"--engine", &arguments->engine}, {"--library", &arguments->library},
        {"--model", &arguments->model},   {"--inputs", &arguments->inputs},
        {"--outputs", &arguments->outputs},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(option, texts[i].option)) continue;
        *texts[i].place = value;
        return true;
    }
    return false;
}

static bool take_number(Arguments *arguments, const char *option, const char *value) {
    const uint64_t most = 1000000000;
    if (!strcmp(option, "--threads")) arguments->threads = (int)count_in(option, value, 1, MOST_THREADS);
    else if (!strcmp(option, "--affinity")) cores_in(arguments, value);
    else if (!strcmp(option, "--warmup-runs")) arguments->warmup_runs = count_in(option, value, 0, most);
    else if (!strcmp(option, "--min-runs")) arguments->min_runs = count_in(option, value, 1, most);
    else if (!strcmp(option, "--period-us")) arguments->period_ns = 1000 * count_in(option, value, 0, most);
    else if (!strcmp(option, "--warmup-seconds")) arguments->warmup_ns = seconds_in(option, value);
    else if (!strcmp(option, "--min-seconds")) arguments->min_ns = seconds_in(option, value);
    else if (!strcmp(option, "--max-seconds")) arguments->max_ns = seconds_in(option, value);
    else return false;
    return true;
}

void arguments_read(Arguments *arguments, int count, char **words) {
    *arguments = (Arguments){.threads = 1, .warmup_runs = 1, .min_runs = 50, .min_ns = 1000000000};
    for (int i = 1; i < count; i++) {
        const char *option = words[i];
        if (!strcmp(option, "--each")) arguments->each = true;
        else if (!strcmp(option, "--profile")) arguments->profile = true;
        else {
            const char *value = i + 1 < count ? words[++i] : NULL;
            if (!value) give_up(FAIL_USAGE, "%s: unknown, or a value is missing", option);
            if (!take_text(arguments, option, value) && !take_number(arguments, option, value))
                give_up(FAIL_USAGE, "%s: no such option", option);
        }
    }
    if (!arguments->engine) give_up(FAIL_USAGE, "--engine is missing");
    if (!arguments->model) give_up(FAIL_USAGE, "--model is missing");
}
