/* What Android's C library has and musl lacks, as far as ONNX Runtime for Android asks for it.  Built as
   liblog.so, which that library needs anyway; only for the stand-in device. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

/* Old bionic's stdin, stdout, stderr: only their addresses are taken. */
char __sF[3][152];

int *__errno(void) { return &errno; }

/* The log goes to standard error. */
int __android_log_vprint(int level, const char *tag, const char *format, va_list values) {
    int written = fprintf(stderr, "%d/%s: ", level, tag);
    written += vfprintf(stderr, format, values);
    fputc('\n', stderr);
    return written;
}

int __android_log_print(int level, const char *tag, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int written = __android_log_vprint(level, tag, format, values);
    va_end(values);
    return written;
}

int __android_log_write(int level, const char *tag, const char *text) {
    return __android_log_print(level, tag, "%s", text);
}

void android_set_abort_message(const char *text) { fprintf(stderr, "abort: %s\n", text); }

/* Any release will do. */
int __system_property_get(const char *name, char *value) {
    strcpy(value, strcmp(name, "ro.build.version.sdk") ? "" : "34");
    return (int)strlen(value);
}

/* Checked forms, without the check. */
#define UNCHECKED(result, name, declared, call) \
    result name declared { return call; }
UNCHECKED(void *, __memcpy_chk, (void *to, const void *from, size_t count, size_t room), ((void)room, memcpy(to, from, count)))
UNCHECKED(void *, __memset_chk, (void *to, int byte, size_t count, size_t room), ((void)room, memset(to, byte, count)))
UNCHECKED(char *, __strchr_chk, (const char *text, int wanted, size_t room), ((void)room, strchr(text, wanted)))
UNCHECKED(size_t, __strlen_chk, (const char *text, size_t room), ((void)room, strlen(text)))
UNCHECKED(int, __open_2, (const char *path, int flags), open(path, flags))
UNCHECKED(int, __FD_ISSET_chk, (int file, const fd_set *set, size_t room), ((void)room, FD_ISSET(file, set) != 0))
UNCHECKED(int, __vsnprintf_chk, (char *to, size_t most, int flags, size_t room, const char *format, va_list values),
          ((void)flags, (void)room, vsnprintf(to, most, format, values)))
UNCHECKED(int, __vsprintf_chk, (char *to, int flags, size_t room, const char *format, va_list values),
          ((void)flags, vsnprintf(to, room, format, values)))
UNCHECKED(long long, strtoll_l, (const char *text, char **end, int base, locale_t where),
          ((void)where, strtoll(text, end, base)))
UNCHECKED(unsigned long long, strtoull_l, (const char *text, char **end, int base, locale_t where),
          ((void)where, strtoull(text, end, base)))
UNCHECKED(int, __register_atfork, (void (*before)(void), void (*parent)(void), void (*child)(void), void *library),
          ((void)library, pthread_atfork(before, parent, child)))

void __FD_SET_chk(int file, fd_set *set, size_t room) {
    (void)room;
    FD_SET(file, set);
}

char *__gnu_strerror_r(int number, char *to, size_t most) {
    snprintf(to, most, "%s", strerror(number));
    return to;
}

/* Destructors of thread_local objects, last made first. */
typedef struct Destructor {
    void (*run)(void *);
    void *object;
    struct Destructor *before;
} Destructor;

static pthread_key_t destructors;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void run_all(void *last) {
    for (Destructor *now = last; now;) {
        Destructor *done = now;
        now->run(now->object);
        now = now->before;
        free(done);
    }
}

static void make_key(void) { pthread_key_create(&destructors, run_all); }

int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library) {
    (void)library;
    pthread_once(&made, make_key);
    Destructor *now = malloc(sizeof *now);
    if (!now) return -1;
    *now = (Destructor){run, object, pthread_getspecific(destructors)};
    return pthread_setspecific(destructors, now);
}
