/* sched_setaffinity is GNU's and Android's. */
#define _GNU_SOURCE
#include "system.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "failure.h"

/* A line like `VmHWM:  1234 kB`. */
static uint64_t from_status(const char *key) {
    char line[200];
    uint64_t bytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (!status) return 0;
    while (!bytes && fgets(line, sizeof line, status))
        if (!strncmp(line, key, strlen(key))) bytes = 1024 * strtoull(line + strlen(key), NULL, 10);
    fclose(status);
    return bytes;
}

uint64_t memory_now(void) { return from_status("VmRSS:"); }

uint64_t memory_peak(void) {
    uint64_t bytes = from_status("VmHWM:");
    struct rusage usage;
    if (!bytes && !getrusage(RUSAGE_SELF, &usage)) bytes = 1024 * (uint64_t)usage.ru_maxrss;
    return bytes;
}

void stay_on(const Arguments *arguments) {
    if (!arguments->core_count) return;
    cpu_set_t cores, given;
    CPU_ZERO(&cores);
    for (size_t i = 0; i < arguments->core_count; i++) CPU_SET(arguments->cores[i], &cores);
    if (sched_setaffinity(0, sizeof cores, &cores)) give_up(FAIL_AFFINITY, "these cores: %s", strerror(errno));
    /* The kernel leaves out, without a word, those that are offline or not allowed. */
    if (sched_getaffinity(0, sizeof given, &given)) give_up(FAIL_AFFINITY, "these cores: %s", strerror(errno));
    for (size_t i = 0; i < arguments->core_count; i++)
        if (!CPU_ISSET(arguments->cores[i], &given))
            give_up(FAIL_AFFINITY, "core %d is absent, offline or not allowed", arguments->cores[i]);
}

/* Number of the processor's kind in an ELF header; -1: not said. */
static int machine_of(const char *path) {
    unsigned char start[20] = {0};
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    size_t got = fread(start, 1, sizeof start, file);
    fclose(file);
    return got == sizeof start && !memcmp(start, "\177ELF", 4) ? start[18] | start[19] << 8 : -1;
}

void *library_open(const char *path) {
    /* Where there is no slash, dlopen would look elsewhere. */
    char *real = realpath(path, NULL);
    if (!real) give_up(FAIL_ENGINE, "%s: %s", path, strerror(errno));
    /* The loader says only that there is no such file. */
    int machine = machine_of(real), own = machine_of("/proc/self/exe");
    if (machine >= 0 && own >= 0 && machine != own)
        give_up(FAIL_ENGINE, "%s is for processors of kind %d, this program runs on kind %d", path, machine, own);
    void *library = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    if (!library) give_up(FAIL_ENGINE, "%s", dlerror());
    free(real);
    return library;
}

void *library_find(void *library, const char *symbol) { return dlsym(library, symbol); }
