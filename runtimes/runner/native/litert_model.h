/* A compiled model of LiteRT with its buffers. */
#ifndef LITERT_MODEL_H
#define LITERT_MODEL_H

#include "litert_api.h"
#include "tensor.h"

extern LiteRtApi litert;

typedef struct {
    LiteRtHandle environment, file, graph;
} LiteRtFile;

typedef struct {
    LiteRtHandle compiled;
    size_t input_count, output_count;
    LiteRtHandle inputs[MOST_TENSORS], outputs[MOST_TENSORS];
} LiteRtCompiled;

void litert_compile(LiteRtCompiled *made, const LiteRtFile *file, int threads, bool profiled);
/* Copies into or out of a buffer. */
void litert_copy(LiteRtHandle buffer, const Tensor *tensor, unsigned char *packed, int direction);
LiteRtStatus litert_run(LiteRtCompiled *model);
/* What a status means, for a message. */
const char *litert_word(LiteRtStatus status);

#endif
