/* Inferences one after the other, and what is said about them. */
#ifndef MEASURE_H
#define MEASURE_H

#include "arguments.h"
#include "engine.h"

/* One timed inference; its outputs are there until engine->clear(). */
uint64_t timed_run(const Engine *engine, uint64_t *began);
/* One sample, and after the last one what was not printed yet. */
void sample_add(uint64_t began, uint64_t ns);
void samples_end(void);
/* Warm-up and samples. */
void measure(const Engine *engine, const Arguments *arguments);

#endif
