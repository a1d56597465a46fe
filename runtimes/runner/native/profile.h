/* Times of operators, summed over the calls of each. */
#ifndef PROFILE_H
#define PROFILE_H

#include <stddef.h>
#include <stdint.h>

void profile_add(const char *name, const char *kind, uint64_t ns);
/* Prints `profile`. */
void profile_say(void);

#endif
