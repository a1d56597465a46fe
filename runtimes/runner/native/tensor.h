/* What a model takes and gives, in the words of numpy. */
#ifndef TENSOR_H
#define TENSOR_H

#include <stddef.h>
#include <stdint.h>

typedef enum { FILL_BYTES, FILL_BOOL, FILL_FLOAT16, FILL_BFLOAT16, FILL_FLOAT32, FILL_FLOAT64 } Fill;

typedef struct {
    const char *name;
    size_t bytes;
    Fill fill;
} Dtype;

/* NULL: no dtype of that name that the runner can pack. */
const Dtype *dtype_named(const char *name);

enum { MOST_DIMENSIONS = 8, MOST_TENSORS = 64 };

typedef struct {
    const char *name;
    const Dtype *dtype;
    size_t rank;
    int64_t shape[MOST_DIMENSIONS];
    size_t bytes;
} Tensor;

typedef struct {
    size_t count;
    size_t bytes; /* of all together: one packed item */
    Tensor of[MOST_TENSORS];
} Tensors;

/* Its bytes from dtype and shape; an open dimension becomes 1. Gives up where that is no size. */
void tensor_measure(Tensor *tensor);
void tensors_line(const char *key, const Tensors *tensors);

#endif
