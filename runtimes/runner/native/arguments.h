/* The command line (docs/runner.md). */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_CORES = 1024 };

typedef struct {
    const char *engine, *library, *model, *inputs, *outputs;
    int threads;
    size_t core_count;
    int cores[MOST_CORES];
    bool each, profile;
    uint64_t warmup_runs, warmup_ns, min_runs, min_ns, max_ns, period_ns;
} Arguments;

/* Gives up on whatever it does not understand. */
void arguments_read(Arguments *arguments, int count, char **words);

#endif
