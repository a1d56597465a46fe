#include "tensor.h"

#include <string.h>

#include "failure.h"
#include "lines.h"

static const Dtype DTYPES[] = {
    {"float32", 4, FILL_FLOAT32},   {"uint8", 1, FILL_BYTES},  {"int8", 1, FILL_BYTES},
    {"uint16", 2, FILL_BYTES},      {"int16", 2, FILL_BYTES},  {"uint32", 4, FILL_BYTES},
    {"int32", 4, FILL_BYTES},       {"uint64", 8, FILL_BYTES}, {"int64", 8, FILL_BYTES},
    {"bool", 1, FILL_BOOL},         {"float16", 2, FILL_FLOAT16}, {"float64", 8, FILL_FLOAT64},
    {"bfloat16", 2, FILL_BFLOAT16},
};

const Dtype *dtype_named(const char *name) {
    for (size_t i = 0; name && i < sizeof DTYPES / sizeof DTYPES[0]; i++)
        if (!strcmp(DTYPES[i].name, name)) return &DTYPES[i];
    return NULL;
}

void tensor_measure(Tensor *tensor) {
    /* Half of the address space, so that a few of them never overflow. */
    const size_t most = SIZE_MAX / (2 * MOST_TENSORS);
    tensor->bytes = tensor->dtype->bytes;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0) tensor->shape[i] = 1;
        uint64_t side = (uint64_t)tensor->shape[i];
        if (side && (side > most || tensor->bytes > most / (size_t)side))
            give_up(FAIL_MODEL, "tensor %s is too large for this machine", tensor->name);
        tensor->bytes *= (size_t)side;
    }
}

void tensors_line(const char *key, const Tensors *tensors) {
    line_open(key, '[');
    for (size_t i = 0; i < tensors->count; i++) {
        const Tensor *tensor = &tensors->of[i];
        line_open(NULL, '{');
        line_text("name", tensor->name);
        line_text("dtype", tensor->dtype->name);
        line_open("shape", '[');
        for (size_t d = 0; d < tensor->rank; d++) line_count(NULL, (uint64_t)tensor->shape[d]);
        line_close(']');
        line_count("bytes", tensor->bytes);
        line_close('}');
    }
    line_close(']');
}
