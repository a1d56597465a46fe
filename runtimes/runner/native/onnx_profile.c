#include "onnx_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profile.h"

#define KERNEL "_kernel_time"

/* What follows a key in a line of JSON; NULL where the line lacks it. */
static char *after(char *line, const char *key) {
    char *at = strstr(line, key);
    if (!at) return NULL;
    at += strlen(key);
    return at + strspn(at, " :");
}

/* A string's end becomes the text's end. */
static char *string_at(char *at) {
    if (!at || *at != '"') return NULL;
    char *end = ++at;
    while (*end && *end != '"') end += end[0] == '\\' && end[1] ? 2 : 1;
    if (!*end) return NULL;
    *end = 0;
    return at;
}

/* One event a line: {"cat" : "Node","dur" :12,...,"name" :"conv_kernel_time","args" : {"op_name" : "Conv"}} */
static void take(char *line) {
    char *duration = after(line, "\"dur\""), *kind = after(line, "\"op_name\""), *name = after(line, "\"name\"");
    if (!strstr(line, "\"Node\"") || !duration) return;
    uint64_t us = strtoull(duration, NULL, 10);
    kind = string_at(kind);
    name = string_at(name);
    size_t length = name ? strlen(name) : 0, tail = strlen(KERNEL);
    if (!kind || length < tail || strcmp(name + length - tail, KERNEL)) return;
    name[length - tail] = 0;
    profile_add(name, kind, us * 1000, true);
}

void onnx_profile(const char *path) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (getline(&line, &room, file) > 0) take(line);
    free(line);
    fclose(file);
    unlink(path);
    profile_say();
}
