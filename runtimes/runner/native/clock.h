/* The monotonic clock, in nanoseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define CLOCK_NAME "CLOCK_MONOTONIC"

uint64_t clock_ns(void);
void sleep_until(uint64_t ns);

#endif
