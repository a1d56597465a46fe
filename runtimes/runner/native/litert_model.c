#include "litert_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"

const char *litert_word(LiteRtStatus status) {
    static char other[40];
    switch (status) {
    case 1: return "invalid argument (status 1)";
    case 2: return "not enough memory (status 2)";
    case 3: return "runtime failure (status 3)";
    case 5: return "unsupported (status 5)";
    case 500: return "the file cannot be read (status 500)";
    case 501: return "no valid TFLite file (status 501)";
    default: snprintf(other, sizeof other, "status %d", status); return other;
    }
}

static void check(LiteRtStatus status, const char *step) {
    if (status == LITERT_NO_MEMORY) give_up(FAIL_MEMORY, "%s: not enough", step);
    if (status) give_up(FAIL_MODEL, "%s: %s", step, litert_word(status));
}

/* Options that are a line of TOML under an identifier. */
static void add_option(LiteRtHandle options, const char *identifier, const char *toml) {
    LiteRtHandle opaque = NULL;
    char *copy = strdup(toml);
    if (!copy) give_up(FAIL_MEMORY, "not enough for an option");
    check(litert.CreateOpaqueOptions(identifier, copy, free, &opaque), "LiteRtCreateOpaqueOptions");
    check(litert.AddOpaqueOptions(options, opaque), "LiteRtAddOpaqueOptions");
}

static LiteRtHandle buffer_for(const LiteRtFile *file, LiteRtHandle tensor, LiteRtHandle requirements) {
    LiteRtTensorType type;
    LiteRtHandle buffer = NULL;
    check(litert.GetRankedTensorType(tensor, &type), "LiteRtGetRankedTensorType");
    for (size_t i = 0; i < type.rank && i < MOST_DIMENSIONS; i++)
        if (type.dimensions[i] < 0) type.dimensions[i] = 1;
    check(litert.CreateManagedTensorBufferFromRequirements(file->environment, &type, requirements, &buffer),
          "LiteRtCreateManagedTensorBufferFromRequirements");
    return buffer;
}

void litert_compile(LiteRtCompiled *made, const LiteRtFile *file, int threads, bool profiled) {
    LiteRtHandle options = NULL, tensor = NULL, wanted = NULL;
    char toml[40];
    check(litert.CreateOptions(&options), "LiteRtCreateOptions");
    check(litert.SetOptionsHardwareAccelerators(options, LITERT_CPU), "LiteRtSetOptionsHardwareAccelerators");
    snprintf(toml, sizeof toml, "num_threads = %d\n", threads);
    add_option(options, "xnnpack", toml);
    if (profiled) add_option(options, "runtime_options_string", "enable_profiling = true\n");
    check(litert.CreateCompiledModel(file->environment, file->file, options, &made->compiled),
          "LiteRT cannot compile the model");
    check(litert.GetNumSubgraphInputs(file->graph, &made->input_count), "LiteRtGetNumSubgraphInputs");
    check(litert.GetNumSubgraphOutputs(file->graph, &made->output_count), "LiteRtGetNumSubgraphOutputs");
    if (made->input_count > MOST_TENSORS || made->output_count > MOST_TENSORS)
        give_up(FAIL_MODEL, "more than %d inputs or outputs", MOST_TENSORS);
    for (size_t i = 0; i < made->input_count; i++) {
        check(litert.GetSubgraphInput(file->graph, i, &tensor), "LiteRtGetSubgraphInput");
        check(litert.GetCompiledModelInputBufferRequirements(made->compiled, 0, i, &wanted),
              "input requirements");
        made->inputs[i] = buffer_for(file, tensor, wanted);
    }
    for (size_t i = 0; i < made->output_count; i++) {
        check(litert.GetSubgraphOutput(file->graph, i, &tensor), "LiteRtGetSubgraphOutput");
        check(litert.GetCompiledModelOutputBufferRequirements(made->compiled, 0, i, &wanted),
              "output requirements");
        made->outputs[i] = buffer_for(file, tensor, wanted);
    }
}

void litert_copy(LiteRtHandle buffer, const Tensor *tensor, unsigned char *packed, int direction) {
    void *memory = NULL;
    LiteRtStatus status = litert.LockTensorBuffer(buffer, &memory, direction);
    if (status) give_up(FAIL_INFERENCE, "tensor %s: %s", tensor->name, litert_word(status));
    if (direction == LITERT_WRITE) memcpy(memory, packed, tensor->bytes);
    else memcpy(packed, memory, tensor->bytes);
    litert.UnlockTensorBuffer(buffer);
}

LiteRtStatus litert_run(LiteRtCompiled *model) {
    return litert.RunCompiledModel(model->compiled, 0, model->input_count, model->inputs, model->output_count,
                                   model->outputs);
}
