#include "litert_survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "profile.h"

static LiteRtCompiled profiled;

/* Their layout is no promise: if it were another, these would be no types and sources. */
static bool are_sound(const LiteRtEvent *events, int count) {
    for (int i = 0; i < count; i++) {
        uint32_t type = (uint32_t)events[i].type;
        bool is_type = type && type <= 1 << 8 && !(type & (type - 1));
        if (!is_type || events[i].source < 0 || events[i].source > 2) return false;
    }
    return true;
}

static int read_events(LiteRtHandle profiler, LiteRtEvent **events) {
    int count = 0;
    if (litert.GetNumProfilerEvents(profiler, &count) || count <= 0) return 0;
    /* Twice as many, in case that another version's are longer. */
    *events = need_memory((size_t)count * 2, sizeof **events);
    if (litert.GetProfilerEvents(profiler, count, *events) || !are_sound(*events, count)) return 0;
    return count;
}

static void add_up(const LiteRtEvent *event) {
    char name[40];
    bool taken = event->type == EVENT_OF_DELEGATE;
    snprintf(name, sizeof name, "%s %llu", taken ? "XNNPACK" : "node", (unsigned long long)event->node);
    profile_add(name, event->tag ? event->tag : "", event->elapsed_us * 1000, false);
}

bool litert_survey(const LiteRtFile *file, const Arguments *arguments, Model *model, const unsigned char *item) {
    LiteRtHandle profiler = NULL;
    LiteRtEvent *events = NULL;
    const int runs = arguments->profile ? PROFILE_RUNS : 1;
    int64_t own = 0, taken = 0;
    if (!litert.CompiledModelGetProfiler || !litert.StartProfiler || !litert.StopProfiler ||
        !litert.GetNumProfilerEvents || !litert.GetProfilerEvents)
        return false;
    litert_compile(&profiled, file, arguments->threads, true);
    if (litert.CompiledModelGetProfiler(profiled.compiled, &profiler) || !profiler) return false;
    for (size_t i = 0; i < profiled.input_count; i++) {
        litert_copy(profiled.inputs[i], &model->inputs.of[i], (unsigned char *)item, LITERT_WRITE);
        item += model->inputs.of[i].bytes;
    }
    bool failed = litert_run(&profiled) || litert.StartProfiler(profiler);
    for (int i = 0; i < runs && !failed; i++) failed = litert_run(&profiled);
    litert.StopProfiler(profiler);
    int count = failed ? 0 : read_events(profiler, &events);
    for (int i = 0; i < count; i++) {
        if (events[i].type != EVENT_OPERATOR && events[i].type != EVENT_OF_DELEGATE) continue;
        own += events[i].type == EVENT_OPERATOR && !events[i].graph;
        taken += events[i].type == EVENT_OF_DELEGATE;
        if (arguments->profile) add_up(&events[i]);
    }
    free(events);
    if (!count) return false;
    if (arguments->profile) profile_say();
    /* What is not called by itself was taken over. */
    model->delegate = taken ? "XNNPACK" : NULL;
    model->delegated = model->nodes >= own / runs ? model->nodes - own / runs : NOT_SAID;
    return true;
}
