/* Times of operators, summed over the calls of each. */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>
#include <stdint.h>

/* One call; the first of each may be left out. */
void profile_add(const char *name, const char *kind, uint64_t ns, bool but_first);
/* Prints `profile`. */
void profile_say(void);

#endif
