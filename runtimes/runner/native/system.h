/* What the system says and does: memory, cores, shared libraries. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdint.h>

#include "arguments.h"

/* Bytes of this process in memory now, and at most; 0: the system does not say. */
uint64_t memory_now(void);
uint64_t memory_peak(void);

/* Before any thread is made: they inherit it. */
void stay_on(const Arguments *arguments);

void *library_open(const char *path);
/* NULL where the library lacks it. */
void *library_find(void *library, const char *symbol);

#endif
