/* What the runner wants of an engine. Everything gives up by itself where it fails. */
#ifndef ENGINE_H
#define ENGINE_H

#include "arguments.h"
#include "tensor.h"

enum { NOT_SAID = -1, PROFILE_RUNS = 20 };

typedef struct {
    Tensors inputs, outputs;
    const char *delegate; /* NULL: none, or not said */
    int64_t nodes, delegated;
} Model;

typedef struct {
    const char *name;
    /* The library and its functions. */
    void (*load)(const char *library);
    /* By the library's own words; after load. */
    const char *(*version)(void);
    /* From the file to a model ready to run; `model` is zeroed. */
    void (*open)(const Arguments *arguments, Model *model);
    /* One packed item. */
    void (*set_inputs)(const Model *model, const unsigned char *item);
    /* The inference and nothing else: what is timed. Not 0: failed. */
    int (*run)(void);
    /* Why run failed. */
    const char *(*complaint)(void);
    void (*get_outputs)(const Model *model, unsigned char *item);
    /* Readies the next run: outside of the timed section. */
    void (*clear)(void);
    /* Once all is measured: what only a profiled model tells, as `profile` if wanted; true: it learned
       something of `model`. */
    bool (*survey)(const Arguments *arguments, Model *model, const unsigned char *item);
} Engine;

extern const Engine ENGINE_LITERT, ENGINE_ONNX;

#endif
