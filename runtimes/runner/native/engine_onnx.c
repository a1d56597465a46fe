#include "engine.h"
const Engine ENGINE_ONNX = {.name = "onnxruntime"};
