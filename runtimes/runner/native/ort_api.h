/* The part of ONNX Runtime's C API that the runner uses: our own declarations of it.

   The API is one table of functions, which only grows: a function's place in it never changes. Places
   here are those of the public API since version 5 (the last function used is AddSessionConfigEntry,
   130); works with 1.29 for Android and 1.32 for Linux. Types are opaque, a status that is not NULL is an
   error. */
#ifndef ORT_API_H
#define ORT_API_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_API_VERSION = 17, ORT_FATAL = 4, ORT_ARENA = 1, ORT_MEMORY_DEFAULT = 0 };

typedef struct OrtStatus OrtStatus;
typedef struct OrtObject OrtObject; /* environment, session, options, value, allocator, ... */

typedef struct {
    void *to_1[2];
    const char *(*GetErrorMessage)(const OrtStatus *);
    OrtStatus *(*CreateEnv)(int level, const char *name, OrtObject **environment);
    void *to_6[3];
    OrtStatus *(*CreateSession)(OrtObject *environment, const char *path, OrtObject *options, OrtObject **session);
    void *to_8[1];
    OrtStatus *(*Run)(OrtObject *session, const OrtObject *options, const char *const *input_names,
                      const OrtObject *const *inputs, size_t input_count, const char *const *output_names,
                      size_t output_count, OrtObject **outputs);
    OrtStatus *(*CreateSessionOptions)(OrtObject **options);
    void *to_13[3];
    OrtStatus *(*EnableProfiling)(OrtObject *options, const char *prefix);
    void *to_23[9];
    OrtStatus *(*SetIntraOpNumThreads)(OrtObject *options, int threads);
    void *to_29[5];
    OrtStatus *(*SessionGetInputCount)(const OrtObject *session, size_t *count);
    OrtStatus *(*SessionGetOutputCount)(const OrtObject *session, size_t *count);
    void *to_32[1];
    OrtStatus *(*SessionGetInputTypeInfo)(const OrtObject *session, size_t index, OrtObject **info);
    OrtStatus *(*SessionGetOutputTypeInfo)(const OrtObject *session, size_t index, OrtObject **info);
    void *to_35[1];
    OrtStatus *(*SessionGetInputName)(const OrtObject *session, size_t index, OrtObject *allocator, char **name);
    OrtStatus *(*SessionGetOutputName)(const OrtObject *session, size_t index, OrtObject *allocator, char **name);
    void *to_48[11];
    OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtObject *memory, void *data, size_t bytes,
                                                 const int64_t *shape, size_t rank, int type, OrtObject **value);
    void *to_50[1];
    OrtStatus *(*GetTensorMutableData)(OrtObject *value, void **data);
    void *to_54[3];
    OrtStatus *(*CastTypeInfoToTensorInfo)(const OrtObject *info, const OrtObject **tensor);
    void *to_59[4];
    OrtStatus *(*GetTensorElementType)(const OrtObject *tensor, int *type);
    OrtStatus *(*GetDimensionsCount)(const OrtObject *tensor, size_t *rank);
    OrtStatus *(*GetDimensions)(const OrtObject *tensor, int64_t *shape, size_t rank);
    void *to_63[1];
    OrtStatus *(*GetTensorShapeElementCount)(const OrtObject *tensor, size_t *count);
    OrtStatus *(*GetTensorTypeAndShape)(const OrtObject *value, OrtObject **tensor);
    void *to_68[3];
    OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int type, OrtObject **memory);
    void *to_77[8];
    OrtStatus *(*GetAllocatorWithDefaultOptions)(OrtObject **allocator);
    void *to_92[14];
    void (*ReleaseStatus)(OrtStatus *);
    void *to_94[1];
    void (*ReleaseSession)(OrtObject *);
    void (*ReleaseValue)(OrtObject *);
    void *to_97[1];
    void (*ReleaseTypeInfo)(OrtObject *);
    void (*ReleaseTensorTypeAndShapeInfo)(OrtObject *);
    void *to_109[10];
    OrtStatus *(*SessionEndProfiling)(OrtObject *session, OrtObject *allocator, char **path);
    void *to_129[19];
    OrtStatus *(*AddSessionConfigEntry)(OrtObject *options, const char *key, const char *value);
} OrtApi;

#define AT(function, place)                                                                             \
    _Static_assert(offsetof(OrtApi, function) == (place) * sizeof(void *), #function " is number " #place)
AT(GetErrorMessage, 2);
AT(CreateSession, 7);
AT(Run, 9);
AT(EnableProfiling, 14);
AT(SetIntraOpNumThreads, 24);
AT(SessionGetInputCount, 30);
AT(SessionGetInputTypeInfo, 33);
AT(SessionGetInputName, 36);
AT(CreateTensorWithDataAsOrtValue, 49);
AT(GetTensorMutableData, 51);
AT(CastTypeInfoToTensorInfo, 55);
AT(GetTensorElementType, 60);
AT(GetTensorShapeElementCount, 64);
AT(CreateCpuMemoryInfo, 69);
AT(GetAllocatorWithDefaultOptions, 78);
AT(ReleaseStatus, 93);
AT(ReleaseSession, 95);
AT(ReleaseTypeInfo, 98);
AT(SessionEndProfiling, 110);
AT(AddSessionConfigEntry, 130);
#undef AT

/* What OrtGetApiBase() returns. */
typedef struct {
    const OrtApi *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} OrtApiBase;

#endif
