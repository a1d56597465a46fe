/* LiteRT over its C API: on the CPU, with the XNNPACK delegate that it takes by default. */

#include "engine.h"
#include "failure.h"
#include "litert_model.h"
#include "litert_survey.h"
#include "system.h"

LiteRtApi litert;
static LiteRtFile file;
static LiteRtCompiled compiled;
static LiteRtStatus last;
static const char *known_version;

static void load(const char *path) {
    void *library = library_open(path);
    if (!library_find(library, "LiteRtCreateModelFromFd"))
        give_up(FAIL_ENGINE, "%s: no LiteRT of 2.2 or later (it lacks LiteRtCreateModelFromFd)", path);
#define FIND(symbol, arguments)                                                                           \
    if (!(litert.symbol = (LiteRtStatus(*) arguments)library_find(library, "LiteRt" #symbol)))            \
        give_up(FAIL_ENGINE, "%s lacks LiteRt" #symbol, path);
    LITERT_FUNCTIONS(FIND)
#undef FIND
#define FIND(symbol, arguments) \
    litert.symbol = (LiteRtStatus(*) arguments)library_find(library, "LiteRt" #symbol);
    LITERT_PROFILER(FIND)
#undef FIND
    /* The library carries no version: these are told by what it exports. */
    known_version = library_find(library, "LiteRtSetAcceleratorGetHooks") ? "2.3 or later" : "2.2";
}

static const char *version(void) { return known_version; }

static const char *dtype_of(int32_t element_type) {
    switch (element_type) {
    case 1: return "float32";
    case 2: return "int32";
    case 3: return "uint8";
    case 4: return "int64";
    case 6: return "bool";
    case 7: return "int16";
    case 9: return "int8";
    case 10: return "float16";
    case 11: return "float64";
    case 13: return "uint64";
    case 16: return "uint32";
    case 17: return "uint16";
    case 19: return "bfloat16";
    default: return NULL;
    }
}

static void describe(LiteRtHandle handle, LiteRtHandle buffer, Tensor *tensor) {
    LiteRtTensorType type;
    size_t bytes = 0;
    if (litert.GetTensorName(handle, &tensor->name) || !tensor->name) tensor->name = "";
    if (litert.GetRankedTensorType(handle, &type) || type.rank > MOST_DIMENSIONS)
        give_up(FAIL_MODEL, "tensor %s has no shape", tensor->name);
    tensor->dtype = dtype_named(dtype_of(type.element_type));
    if (!tensor->dtype) give_up(FAIL_MODEL, "tensor %s is of type %d", tensor->name, type.element_type);
    tensor->rank = type.rank;
    for (size_t i = 0; i < tensor->rank; i++) tensor->shape[i] = type.dimensions[i];
    tensor_measure(tensor);
    if (litert.GetTensorBufferPackedSize(buffer, &bytes) || bytes != tensor->bytes)
        give_up(FAIL_MODEL, "tensor %s: a buffer of %zu bytes instead of %zu", tensor->name, bytes, tensor->bytes);
}

/* A compiled model is run by the number of a signature: the first one's graph has to be the main one. */
static void check_signature(void) {
    size_t count = 0;
    LiteRtHandle signature = NULL, graph = NULL;
    if (litert.GetNumModelSignatures(file.file, &count) || !count) return;
    if (litert.GetModelSignature(file.file, 0, &signature) || litert.GetSignatureSubgraph(signature, &graph)) return;
    if (graph != file.graph) give_up(FAIL_MODEL, "the first signature is not that of the main graph");
}

static void open_model(const Arguments *arguments, Model *model) {
    size_t nodes = 0;
    LiteRtHandle tensor = NULL;
    LiteRtStatus status = litert.CreateEnvironment(0, NULL, &file.environment);
    if (status) give_up(FAIL_ENGINE, "LiteRtCreateEnvironment: %s", litert_word(status));
    status = litert.CreateModelFromFile(file.environment, arguments->model, &file.file);
    if (status == LITERT_NO_MEMORY) give_up(FAIL_MEMORY, "not enough for the model");
    if (status) give_up(FAIL_MODEL, "LiteRT does not take the file: %s", litert_word(status));
    if (litert.GetModelSubgraph(file.file, 0, &file.graph)) give_up(FAIL_MODEL, "the file has no graph");
    check_signature();
    litert_compile(&compiled, &file, arguments->threads, false);
    model->inputs.count = compiled.input_count;
    model->outputs.count = compiled.output_count;
    for (size_t i = 0; i < compiled.input_count; i++) {
        litert.GetSubgraphInput(file.graph, i, &tensor);
        describe(tensor, compiled.inputs[i], &model->inputs.of[i]);
        model->inputs.bytes += model->inputs.of[i].bytes;
    }
    for (size_t i = 0; i < compiled.output_count; i++) {
        litert.GetSubgraphOutput(file.graph, i, &tensor);
        describe(tensor, compiled.outputs[i], &model->outputs.of[i]);
        model->outputs.bytes += model->outputs.of[i].bytes;
    }
    if (!litert.GetNumSubgraphOps(file.graph, &nodes)) model->nodes = (int64_t)nodes;
}

static void set_inputs(const Model *model, const unsigned char *item) {
    for (size_t i = 0; i < compiled.input_count; i++) {
        litert_copy(compiled.inputs[i], &model->inputs.of[i], (unsigned char *)item, LITERT_WRITE);
        item += model->inputs.of[i].bytes;
    }
}

static int run(void) { return last = litert_run(&compiled); }

static const char *complaint(void) { return litert_word(last); }

static void get_outputs(const Model *model, unsigned char *item) {
    for (size_t i = 0; i < compiled.output_count; i++) {
        litert_copy(compiled.outputs[i], &model->outputs.of[i], item, LITERT_READ);
        item += model->outputs.of[i].bytes;
    }
}

static void clear(void) {}

static bool survey(const Arguments *arguments, Model *model, const unsigned char *item) {
    return litert_survey(&file, arguments, model, item);
}

const Engine ENGINE_LITERT = {
    "litert", load, version, open_model, set_inputs, run, complaint, get_outputs, clear, survey,
};
