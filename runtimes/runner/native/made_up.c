#include "made_up.h"

#include <string.h>

#define SEED UINT64_C(0x9e3779b97f4a7c15)

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* k / 2048 as half: exact. */
static uint16_t half(uint32_t k) {
    if (!k) return 0;
    uint32_t top = 0;
    while (k >> (top + 1)) top++;
    return (uint16_t)((top + 4) << 10 | ((k << (10 - top)) & 0x3ff));
}

static void number(unsigned char *at, Fill fill, uint64_t drawn) {
    float single;
    uint32_t bits;
    switch (fill) {
    case FILL_FLOAT32: single = (float)(drawn >> 40) / 16777216.0f; memcpy(at, &single, 4); return;
    case FILL_FLOAT64: memcpy(at, &(double){(double)(drawn >> 11) / 9007199254740992.0}, 8); return;
    case FILL_FLOAT16: memcpy(at, &(uint16_t){half((uint32_t)(drawn >> 53))}, 2); return;
    case FILL_BFLOAT16:
        single = (float)(drawn >> 56) / 256.0f;
        memcpy(&bits, &single, 4);
        memcpy(at, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
        return;
    case FILL_BOOL: *at = (unsigned char)(drawn >> 63); return;
    case FILL_BYTES: return;
    }
}

void made_up_item(unsigned char *item, const Tensors *tensors) {
    uint64_t state = SEED;
    for (size_t i = 0; i < tensors->count; i++) {
        const Tensor *tensor = &tensors->of[i];
        size_t step = tensor->dtype->fill == FILL_BYTES ? 8 : tensor->dtype->bytes;
        for (size_t at = 0; at < tensor->bytes; at += step) {
            uint64_t drawn = next(&state);
            if (tensor->dtype->fill != FILL_BYTES) {
                number(item + at, tensor->dtype->fill, drawn);
                continue;
            }
            for (size_t b = 0; b < 8 && at + b < tensor->bytes; b++)
                item[at + b] = (unsigned char)(drawn >> (8 * b));
        }
        item += tensor->bytes;
    }
}
