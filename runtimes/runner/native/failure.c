#include "failure.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lines.h"

static const char *code_of(Failure failure) {
    switch (failure) {
    case FAIL_USAGE: return "usage";
    case FAIL_ENGINE: return "engine";
    case FAIL_MODEL: return "model";
    case FAIL_INPUT: return "input";
    case FAIL_OUTPUT: return "output";
    case FAIL_INFERENCE: return "inference";
    case FAIL_MEMORY: return "memory";
    case FAIL_AFFINITY: return "affinity";
    }
    return "usage";
}

_Noreturn void give_up(Failure failure, const char *format, ...) {
    char message[600];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    line_begin("error");
    line_text("code", code_of(failure));
    line_text("message", message);
    line_end();
    finish((int)failure);
}

_Noreturn void finish(int exit_code) {
    line_begin("end");
    line_count("exit_code", (uint64_t)exit_code);
    line_end();
    _exit(exit_code);
}

static volatile sig_atomic_t crash;
static unsigned allowed;

/* The process is lost; what it can still say is worth the risk of saying it here. */
static void crashed(int number) {
    if (number == SIGALRM) give_up((Failure)crash, "the engine was not ready after %u s", allowed);
    give_up((Failure)crash, "the engine crashed (signal %d)", number);
}

void crash_means(Failure failure) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    /* A crash in there ends the process as ever. */
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_RESETHAND | SA_NODEFER};
    crash = failure;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}

void allow_seconds(unsigned seconds) {
    allowed = seconds;
    alarm(seconds);
}

void *need_memory(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) give_up(FAIL_MEMORY, "%zu times %zu bytes are not to be had", count, size);
    return memory;
}
