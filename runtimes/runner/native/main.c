/* Runs a model on this device and says what it measured: JSON lines on standard output (docs/runner.md). */
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "engine.h"
#include "failure.h"
#include "lines.h"
#include "measure.h"
#include "packed.h"
#include "system.h"

#define PROTOCOL 1
#define RUNNER "native 1"

enum { OPEN_SECONDS = 60 };

static const Engine *engine_named(const char *name) {
    static const Engine *const engines[] = {&ENGINE_LITERT, &ENGINE_ONNX};
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        if (!strcmp(engines[i]->name, name)) return engines[i];
    give_up(FAIL_USAGE, "--engine %s: this runner has litert and onnxruntime", name);
}

static void say_hello(const Engine *engine) {
    line_begin("hello");
    line_count("protocol", PROTOCOL);
    line_text("runner", RUNNER);
    line_text("engine", engine->name);
    line_text("engine_version", engine->version());
    line_text("clock", CLOCK_NAME);
    line_count("pid", (uint64_t)getpid());
    line_end();
}

static void say_ns(const char *event, uint64_t ns) {
    line_begin(event);
    line_count("ns", ns);
    line_end();
}

static void line_maybe(const char *key, int64_t value) {
    if (value < 0) line_word(key, "null");
    else line_count(key, (uint64_t)value);
}

static void say_model(const Model *model) {
    line_begin("model");
    tensors_line("inputs", &model->inputs);
    tensors_line("outputs", &model->outputs);
    if (model->delegate) line_text("delegate", model->delegate);
    else line_word("delegate", "null");
    line_maybe("nodes", model->nodes);
    line_maybe("delegated", model->delegated);
    line_end();
}

static void say_memory(uint64_t before) {
    uint64_t peak = memory_peak();
    line_begin("memory");
    line_maybe("before", before ? (int64_t)before : NOT_SAID);
    line_maybe("peak", peak ? (int64_t)peak : NOT_SAID);
    line_end();
}

static void say_outputs(uint64_t items, const char *digest, bool steady) {
    line_begin("outputs");
    line_count("items", items);
    line_text("sha256", digest);
    line_word("steady", steady ? "true" : "false");
    line_end();
}

typedef struct {
    const Engine *engine;
    const Model *model;
    PackedInputs inputs;
    PackedOutputs outputs;
    unsigned char *input, *output, *first_output;
} Run;

/* The next item through the engine; its outputs in run->output. */
static uint64_t next_item(Run *run, uint64_t *began) {
    inputs_read(&run->inputs, run->input);
    run->engine->set_inputs(run->model, run->input);
    uint64_t ns = timed_run(run->engine, began);
    run->engine->get_outputs(run->model, run->output);
    run->engine->clear();
    return ns;
}

static void rest_of_the_items(Run *run) {
    while (run->inputs.next < run->inputs.items) {
        uint64_t began, ns = next_item(run, &began);
        sample_add(began, ns);
        outputs_add(&run->outputs, run->output, run->model->outputs.bytes);
    }
    samples_end();
}

static void go(const Engine *engine, const Arguments *arguments, Model *model, uint64_t memory_before) {
    Run run = {
        .engine = engine,
        .model = model,
        .input = need_memory(model->inputs.bytes, 1),
        .output = need_memory(model->outputs.bytes, 1),
        .first_output = need_memory(model->outputs.bytes, 1),
    };
    char digest[65];
    inputs_open(&run.inputs, arguments->inputs, &model->inputs);
    outputs_open(&run.outputs, arguments->outputs);
    uint64_t began;
    say_ns("first", next_item(&run, &began));
    memcpy(run.first_output, run.output, model->outputs.bytes);
    outputs_add(&run.outputs, run.output, model->outputs.bytes);
    if (arguments->each) rest_of_the_items(&run);
    else measure(engine, arguments);
    say_memory(memory_before);
    inputs_rewind(&run.inputs);
    next_item(&run, &began);
    bool steady = !memcmp(run.first_output, run.output, model->outputs.bytes);
    outputs_close(&run.outputs, digest);
    say_outputs(run.outputs.items, digest, steady);
    /* It takes as long as several inferences, and is about latency. */
    if (!arguments->each && engine->survey(arguments, model, run.input)) say_model(model);
}

int main(int count, char **words) {
    static Arguments arguments;
    static Model model = {.nodes = NOT_SAID, .delegated = NOT_SAID};
    lines_open();
    arguments_read(&arguments, count, words);
    const Engine *engine = engine_named(arguments.engine);
    if (!arguments.library) give_up(FAIL_USAGE, "--library is missing");
    stay_on(&arguments);
    crash_means(FAIL_ENGINE);
    uint64_t start = clock_ns();
    engine->load(arguments.library);
    uint64_t loaded = clock_ns() - start;
    say_hello(engine);
    say_ns("load", loaded);
    if (access(arguments.model, R_OK)) give_up(FAIL_MODEL, "%s cannot be read", arguments.model);
    crash_means(FAIL_MODEL);
    uint64_t memory_before = memory_now();
    start = clock_ns();
    /* LiteRT does not come to an end with some files that were cut off. */
    allow_seconds(OPEN_SECONDS);
    engine->open(&arguments, &model);
    uint64_t ready = clock_ns() - start;
    allow_seconds(0);
    say_model(&model);
    say_ns("init", ready);
    crash_means(FAIL_INFERENCE);
    go(engine, &arguments, &model, memory_before);
    finish(0);
}
