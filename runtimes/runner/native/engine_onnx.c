/* ONNX Runtime over its C API: on the CPU. */
#include <string.h>

#include "engine.h"
#include "failure.h"
#include "onnx_profile.h"
#include "ort_api.h"
#include "system.h"

static const OrtApi *ort;
static const char *known_version;
static OrtObject *environment, *session, *allocator, *cpu_memory;
static OrtStatus *last;
static char *input_names[MOST_TENSORS], *output_names[MOST_TENSORS];
static unsigned char *input_bytes[MOST_TENSORS];
static OrtObject *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
static size_t input_count, output_count;

static void check(OrtStatus *status, Failure failure, const char *step) {
    if (!status) return;
    const char *why = ort->GetErrorMessage(status);
    if (strstr(why, "bad_alloc") || strstr(why, "Failed to allocate memory")) failure = FAIL_MEMORY;
    give_up(failure, "%s: %s", step, why);
}

static void load(const char *path) {
    void *library = library_open(path);
    const OrtApiBase *(*base)(void);
    *(void **)&base = library_find(library, "OrtGetApiBase");
    if (!base) give_up(FAIL_ENGINE, "%s: no ONNX Runtime (it lacks OrtGetApiBase)", path);
    known_version = base()->GetVersionString();
    ort = base()->GetApi(ORT_API_VERSION);
    if (!ort) give_up(FAIL_ENGINE, "ONNX Runtime %s: 1.%d or later is needed", known_version, ORT_API_VERSION);
}

static const char *version(void) { return known_version; }

/* Number of the type in the API -> name. */
static const char *dtype_of(int type) {
    static const char *const names[] = {
        [1] = "float32",  [2] = "uint8",    [3] = "int8",    [4] = "uint16",  [5] = "int16",
        [6] = "int32",    [7] = "int64",    [9] = "bool",    [10] = "float16", [11] = "float64",
        [12] = "uint32",  [13] = "uint64",  [16] = "bfloat16",
    };
    return type >= 0 && type < (int)(sizeof names / sizeof names[0]) ? names[type] : NULL;
}

static int describe(OrtObject *info, const char *name, Tensor *tensor) {
    const OrtObject *shape = NULL;
    int type = 0;
    tensor->name = name;
    check(ort->CastTypeInfoToTensorInfo(info, &shape), FAIL_MODEL, name);
    if (!shape) give_up(FAIL_MODEL, "%s is no tensor", name);
    check(ort->GetTensorElementType(shape, &type), FAIL_MODEL, name);
    check(ort->GetDimensionsCount(shape, &tensor->rank), FAIL_MODEL, name);
    tensor->dtype = dtype_named(dtype_of(type));
    if (!tensor->dtype) give_up(FAIL_MODEL, "tensor %s is of type %d", name, type);
    if (tensor->rank > MOST_DIMENSIONS) give_up(FAIL_MODEL, "tensor %s has %zu dimensions", name, tensor->rank);
    check(ort->GetDimensions(shape, tensor->shape, tensor->rank), FAIL_MODEL, name);
    tensor_measure(tensor);
    ort->ReleaseTypeInfo(info);
    return type;
}

static void make_input(size_t i, Model *model) {
    OrtObject *info = NULL;
    Tensor *tensor = &model->inputs.of[i];
    check(ort->SessionGetInputName(session, i, allocator, &input_names[i]), FAIL_MODEL, "an input's name");
    check(ort->SessionGetInputTypeInfo(session, i, &info), FAIL_MODEL, input_names[i]);
    int type = describe(info, input_names[i], tensor);
    input_bytes[i] = need_memory(tensor->bytes, 1);
    OrtStatus *status = ort->CreateTensorWithDataAsOrtValue(
        cpu_memory, input_bytes[i], tensor->bytes, tensor->shape, tensor->rank, type, &inputs[i]);
    check(status, FAIL_MODEL, input_names[i]);
    model->inputs.bytes += tensor->bytes;
}

static void find_output(size_t i, Model *model) {
    OrtObject *info = NULL;
    check(ort->SessionGetOutputName(session, i, allocator, &output_names[i]), FAIL_MODEL, "an output's name");
    check(ort->SessionGetOutputTypeInfo(session, i, &info), FAIL_MODEL, output_names[i]);
    describe(info, output_names[i], &model->outputs.of[i]);
    model->outputs.bytes += model->outputs.of[i].bytes;
}

static OrtObject *session_for(const Arguments *arguments, const char *profile) {
    OrtObject *options = NULL, *made = NULL;
    check(ort->CreateSessionOptions(&options), FAIL_ENGINE, "CreateSessionOptions");
    check(ort->SetIntraOpNumThreads(options, arguments->threads), FAIL_ENGINE, "SetIntraOpNumThreads");
    /* As on ARM: otherwise x86 computes int8 as uint8, which saturates, and sums as float. */
    check(ort->AddSessionConfigEntry(options, "session.qdqisint8allowed", "1"), FAIL_ENGINE,
          "AddSessionConfigEntry");
    if (profile) check(ort->EnableProfiling(options, profile), FAIL_OUTPUT, "EnableProfiling");
    check(ort->CreateSession(environment, arguments->model, options, &made), FAIL_MODEL,
          "ONNX Runtime does not take it");
    return made;
}

static void open_model(const Arguments *arguments, Model *model) {
    check(ort->CreateEnv(ORT_FATAL, "mobiledeploy", &environment), FAIL_ENGINE, "CreateEnv");
    check(ort->GetAllocatorWithDefaultOptions(&allocator), FAIL_ENGINE, "GetAllocatorWithDefaultOptions");
    check(ort->CreateCpuMemoryInfo(ORT_ARENA, ORT_MEMORY_DEFAULT, &cpu_memory), FAIL_ENGINE,
          "CreateCpuMemoryInfo");
    session = session_for(arguments, NULL);
    check(ort->SessionGetInputCount(session, &input_count), FAIL_MODEL, "SessionGetInputCount");
    check(ort->SessionGetOutputCount(session, &output_count), FAIL_MODEL, "SessionGetOutputCount");
    if (input_count > MOST_TENSORS || output_count > MOST_TENSORS)
        give_up(FAIL_MODEL, "more than %d inputs or outputs", MOST_TENSORS);
    model->inputs.count = input_count;
    model->outputs.count = output_count;
    for (size_t i = 0; i < input_count; i++) make_input(i, model);
    for (size_t i = 0; i < output_count; i++) find_output(i, model);
}

static void set_inputs(const Model *model, const unsigned char *item) {
    for (size_t i = 0; i < input_count; i++) {
        memcpy(input_bytes[i], item, model->inputs.of[i].bytes);
        item += model->inputs.of[i].bytes;
    }
}

static int run_on(OrtObject *where) {
    last = ort->Run(where, NULL, (const char *const *)input_names, (const OrtObject *const *)inputs, input_count,
                    (const char *const *)output_names, output_count, outputs);
    return last != NULL;
}

static int run(void) { return run_on(session); }

static const char *complaint(void) { return ort->GetErrorMessage(last); }

static void get_outputs(const Model *model, unsigned char *item) {
    for (size_t i = 0; i < output_count; i++) {
        const Tensor *tensor = &model->outputs.of[i];
        OrtObject *shape = NULL;
        void *data = NULL;
        size_t elements = 0;
        check(ort->GetTensorTypeAndShape(outputs[i], &shape), FAIL_INFERENCE, tensor->name);
        check(ort->GetTensorShapeElementCount(shape, &elements), FAIL_INFERENCE, tensor->name);
        ort->ReleaseTensorTypeAndShapeInfo(shape);
        if (elements != tensor->bytes / tensor->dtype->bytes)
            give_up(FAIL_INFERENCE, "output %s has %zu elements, not the %zu of its shape", tensor->name, elements,
                    tensor->bytes / tensor->dtype->bytes);
        check(ort->GetTensorMutableData(outputs[i], &data), FAIL_INFERENCE, tensor->name);
        memcpy(item, data, tensor->bytes);
        item += tensor->bytes;
    }
}

static void clear(void) {
    for (size_t i = 0; i < output_count; i++) {
        if (outputs[i]) ort->ReleaseValue(outputs[i]);
        outputs[i] = NULL;
    }
}

/* Only what was asked for: the engine tells no share of a delegate. */
static bool survey(const Arguments *arguments, Model *model, const unsigned char *item) {
    char *written = NULL;
    if (!arguments->profile) return false;
    OrtObject *profiled = session_for(arguments, arguments->model);
    set_inputs(model, item);
    for (int i = 0; i <= PROFILE_RUNS; i++) {
        if (run_on(profiled)) give_up(FAIL_INFERENCE, "%s", complaint());
        clear();
    }
    check(ort->SessionEndProfiling(profiled, allocator, &written), FAIL_OUTPUT, "SessionEndProfiling");
    onnx_profile(written);
    ort->ReleaseSession(profiled);
    return false;
}

const Engine ENGINE_ONNX = {
    "onnxruntime", load, version, open_model, set_inputs, run, complaint, get_outputs, clear, survey,
};
