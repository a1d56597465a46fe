#include "measure.h"

#include "clock.h"
#include "failure.h"
#include "lines.h"

enum { MOST_IN_A_LINE = 1000 };
static const uint64_t LINE_NS = 1000000000;

/* What was not printed yet: nothing is allocated or printed during an inference. */
typedef struct {
    size_t count;
    uint64_t first, last;
    uint64_t gaps[MOST_IN_A_LINE], ns[MOST_IN_A_LINE];
} Samples;

static Samples samples;

static void keep(uint64_t began, uint64_t ns) {
    if (!samples.count) samples.first = samples.last = began;
    samples.gaps[samples.count] = began - samples.last;
    samples.ns[samples.count++] = ns;
    samples.last = began;
}

static void print(const char *event, bool times) {
    if (!samples.count) return;
    line_begin(event);
    if (times) {
        line_count("start", samples.first);
        line_counts("gaps", samples.gaps, samples.count);
    }
    line_counts("ns", samples.ns, samples.count);
    line_end();
    samples.count = 0;
}

static void print_if_due(const char *event, bool times, uint64_t now) {
    if (samples.count == MOST_IN_A_LINE || (samples.count && now - samples.first >= LINE_NS)) print(event, times);
}

uint64_t timed_run(const Engine *engine, uint64_t *began) {
    uint64_t start = clock_ns();
    int failed = engine->run();
    uint64_t end = clock_ns();
    if (failed) give_up(FAIL_INFERENCE, "%s", engine->complaint());
    *began = start;
    return end - start;
}

static uint64_t one(const Engine *engine) {
    uint64_t began, ns = timed_run(engine, &began);
    engine->clear();
    keep(began, ns);
    return began;
}

void sample_add(uint64_t began, uint64_t ns) {
    keep(began, ns);
    print_if_due("samples", true, clock_ns());
}

void samples_end(void) { print("samples", true); }

static void warm_up(const Engine *engine, const Arguments *arguments) {
    uint64_t start = clock_ns(), now = start;
    for (uint64_t runs = 0; runs < arguments->warmup_runs || now - start < arguments->warmup_ns; runs++) {
        one(engine);
        now = clock_ns();
        print_if_due("warmup", false, now);
    }
    print("warmup", false);
}

/* When the next sample is to begin: now, or on the grid of the period, leaving out what was missed. */
static uint64_t next_begin(uint64_t first, uint64_t period, uint64_t now) {
    return period ? first + ((now - first) / period + 1) * period : now;
}

void measure(const Engine *engine, const Arguments *arguments) {
    warm_up(engine, arguments);
    uint64_t first = one(engine), now = clock_ns();
    for (uint64_t runs = 1; runs < arguments->min_runs || now - first < arguments->min_ns; runs++) {
        print_if_due("samples", true, now);
        uint64_t begin = next_begin(first, arguments->period_ns, clock_ns());
        if (arguments->max_ns && begin - first > arguments->max_ns) break;
        if (arguments->period_ns) sleep_until(begin);
        one(engine);
        now = clock_ns();
    }
    samples_end();
}
