/* The part of LiteRT's C API that the runner uses, since 2.2: our own declarations of it.

   Sources: the exported symbols of libLiteRt.so 2.2.0 and 2.3.0, and the public headers of that API for
   the arguments. Before 2.2 LiteRtCreateModelFromFile took no environment and options were structs:
   such a library is told by its lack of LiteRtCreateModelFromFd. */
#ifndef LITERT_API_H
#define LITERT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int LiteRtStatus;
typedef struct Opaque *LiteRtHandle;

enum { LITERT_OK = 0, LITERT_NO_MEMORY = 2, LITERT_CPU = 1, LITERT_READ = 0, LITERT_WRITE = 1 };

/* Stable by the API's own promise: 72 bytes. */
typedef struct {
    int32_t element_type;
    uint32_t rank : 7, has_strides : 1;
    int32_t dimensions[8];
    uint32_t strides[8];
} LiteRtTensorType;

_Static_assert(sizeof(LiteRtTensorType) == 72, "the API's LiteRtRankedTensorType has 72 bytes");

typedef struct {
    int64_t resident_kb;
    size_t allocated, in_use;
} LiteRtMemory;

/* One event of the profiler; times are microseconds. The layout is no promise of the API: found on
   2.2.0 and 2.3.0, to be checked before use. */
typedef struct {
    const char *tag;
    int32_t type;
    uint64_t start_us, elapsed_us;
    LiteRtMemory before, after;
    uint64_t node, graph;
    int32_t source;
} LiteRtEvent;

/* An operator by itself; one that a delegate computes. */
enum { EVENT_OPERATOR = 1 << 1, EVENT_OF_DELEGATE = 1 << 3 };

/* Name and arguments; all return a status. */
#define LITERT_FUNCTIONS(F)                                                                             \
    F(CreateEnvironment, (int, const void *, LiteRtHandle *))                                           \
    F(CreateModelFromFile, (LiteRtHandle, const char *, LiteRtHandle *))                                \
    F(CreateOptions, (LiteRtHandle *))                                                                  \
    F(SetOptionsHardwareAccelerators, (LiteRtHandle, int))                                              \
    F(CreateOpaqueOptions, (const char *, void *, void (*)(void *), LiteRtHandle *))                    \
    F(AddOpaqueOptions, (LiteRtHandle, LiteRtHandle))                                                   \
    F(CreateCompiledModel, (LiteRtHandle, LiteRtHandle, LiteRtHandle, LiteRtHandle *))                  \
    F(GetModelSubgraph, (LiteRtHandle, size_t, LiteRtHandle *))                                         \
    F(GetNumModelSignatures, (LiteRtHandle, size_t *))                                                  \
    F(GetModelSignature, (LiteRtHandle, size_t, LiteRtHandle *))                                        \
    F(GetSignatureSubgraph, (LiteRtHandle, LiteRtHandle *))                                             \
    F(GetNumSubgraphInputs, (LiteRtHandle, size_t *))                                                   \
    F(GetNumSubgraphOutputs, (LiteRtHandle, size_t *))                                                  \
    F(GetNumSubgraphOps, (LiteRtHandle, size_t *))                                                      \
    F(GetSubgraphInput, (LiteRtHandle, size_t, LiteRtHandle *))                                         \
    F(GetSubgraphOutput, (LiteRtHandle, size_t, LiteRtHandle *))                                        \
    F(GetTensorName, (LiteRtHandle, const char **))                                                     \
    F(GetRankedTensorType, (LiteRtHandle, LiteRtTensorType *))                                          \
    F(GetCompiledModelInputBufferRequirements, (LiteRtHandle, size_t, size_t, LiteRtHandle *))          \
    F(GetCompiledModelOutputBufferRequirements, (LiteRtHandle, size_t, size_t, LiteRtHandle *))         \
    F(CreateManagedTensorBufferFromRequirements,                                                        \
      (LiteRtHandle, const LiteRtTensorType *, LiteRtHandle, LiteRtHandle *))                           \
    F(GetTensorBufferPackedSize, (LiteRtHandle, size_t *))                                              \
    F(LockTensorBuffer, (LiteRtHandle, void **, int))                                                   \
    F(UnlockTensorBuffer, (LiteRtHandle))                                                               \
    F(RunCompiledModel, (LiteRtHandle, size_t, size_t, LiteRtHandle *, size_t, LiteRtHandle *))

/* A build may lack these: then nothing is said of the delegate. */
#define LITERT_PROFILER(F)                                                                              \
    F(CompiledModelGetProfiler, (LiteRtHandle, LiteRtHandle *))                                         \
    F(StartProfiler, (LiteRtHandle))                                                                    \
    F(StopProfiler, (LiteRtHandle))                                                                     \
    F(GetNumProfilerEvents, (LiteRtHandle, int *))                                                      \
    F(GetProfilerEvents, (LiteRtHandle, int, LiteRtEvent *))

typedef struct {
#define FIELD(name, arguments) LiteRtStatus(*name) arguments;
    LITERT_FUNCTIONS(FIELD)
    LITERT_PROFILER(FIELD)
#undef FIELD
} LiteRtApi;

#endif
