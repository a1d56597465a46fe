/* JSON lines on standard output, ASCII only, one `write` a line. */
#ifndef LINES_H
#define LINES_H

#include <stddef.h>
#include <stdint.h>

/* Keeps standard output for the lines: what the engine prints goes to standard error. */
void lines_open(void);

void line_begin(const char *event);
void line_text(const char *key, const char *value);
void line_count(const char *key, uint64_t value);
void line_counts(const char *key, const uint64_t *values, size_t count);
void line_word(const char *key, const char *word); /* null, true or false */
/* Lists and objects: key is NULL inside a list. */
void line_open(const char *key, char bracket);
void line_close(char bracket);
/* Whole, at once. Ends the process without a word if nobody reads any more. */
void line_end(void);

#endif
