/* The file that ONNX Runtime writes when it profiles, as `profile`. */
#ifndef ONNX_PROFILE_H
#define ONNX_PROFILE_H

/* Reads and removes it. */
void onnx_profile(const char *path);

#endif
