/* Giving up: the codes and exit codes of docs/runner.md. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stddef.h>

typedef enum {
    FAIL_USAGE = 64,
    FAIL_ENGINE,
    FAIL_MODEL,
    FAIL_INPUT,
    FAIL_OUTPUT,
    FAIL_INFERENCE,
    FAIL_MEMORY,
    FAIL_AFFINITY,
} Failure;

/* Prints `error` and `end`, and ends the process. */
_Noreturn void give_up(Failure failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints `end` and ends the process, without the engine's own clearing up: it may crash in it. */
_Noreturn void finish(int exit_code);

/* From now on a crash of the engine is this failure, and so is the end of `allow_seconds`. */
void crash_means(Failure failure);

/* From now; 0: no limit any more. */
void allow_seconds(unsigned seconds);

/* Zeroed; gives up where there is no memory left. */
void *need_memory(size_t count, size_t size);

#endif
