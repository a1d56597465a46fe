/* Packed files: the bytes of every tensor, item after item, no header. */
#ifndef PACKED_H
#define PACKED_H

#include <stdint.h>
#include <stdio.h>

#include "sha256.h"
#include "tensor.h"

typedef struct {
    FILE *file; /* NULL: made up, one item */
    const char *path;
    const Tensors *tensors;
    uint64_t items;
    uint64_t next;
} PackedInputs;

/* Gives up unless the file holds one or more whole items. */
void inputs_open(PackedInputs *inputs, const char *path, const Tensors *tensors);
/* The next item into `item`, of tensors->bytes; the first one again after `inputs_rewind`. */
void inputs_read(PackedInputs *inputs, unsigned char *item);
void inputs_rewind(PackedInputs *inputs);

typedef struct {
    FILE *file; /* NULL: only digested */
    const char *path;
    Sha256 hash;
    uint64_t items;
} PackedOutputs;

void outputs_open(PackedOutputs *outputs, const char *path);
void outputs_add(PackedOutputs *outputs, const unsigned char *item, size_t bytes);
/* Whoever reads the file compares the digest: to wait for the disk would wait for all that others write. */
void outputs_close(PackedOutputs *outputs, char digits[65]);

#endif
