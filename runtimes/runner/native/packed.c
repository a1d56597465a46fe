#include "packed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "made_up.h"

void inputs_open(PackedInputs *inputs, const char *path, const Tensors *tensors) {
    *inputs = (PackedInputs){.path = path, .tensors = tensors, .items = 1};
    if (!path) return;
    struct stat found;
    inputs->file = fopen(path, "rb");
    if (inputs->file && !fstat(fileno(inputs->file), &found) && !S_ISREG(found.st_mode))
        give_up(FAIL_INPUT, "%s is no file", path);
    if (!inputs->file || fseeko(inputs->file, 0, SEEK_END))
        give_up(FAIL_INPUT, "%s cannot be read: %s", path, strerror(errno));
    int64_t size = (int64_t)ftello(inputs->file);
    if (size <= 0 || !tensors->bytes || (uint64_t)size % tensors->bytes)
        give_up(FAIL_INPUT, "%s: %" PRId64 " bytes are no whole items of %zu bytes", path, size, tensors->bytes);
    inputs->items = (uint64_t)size / tensors->bytes;
    inputs_rewind(inputs);
}

void inputs_read(PackedInputs *inputs, unsigned char *item) {
    inputs->next++;
    if (!inputs->file)
        made_up_item(item, inputs->tensors);
    else if (fread(item, 1, inputs->tensors->bytes, inputs->file) != inputs->tensors->bytes)
        give_up(FAIL_INPUT, "%s: item %" PRIu64 " cannot be read: %s", inputs->path, inputs->next - 1,
                ferror(inputs->file) ? strerror(errno) : "the file became shorter");
}

void inputs_rewind(PackedInputs *inputs) {
    inputs->next = 0;
    if (inputs->file && fseeko(inputs->file, 0, SEEK_SET))
        give_up(FAIL_INPUT, "%s cannot be read again: %s", inputs->path, strerror(errno));
}

void outputs_open(PackedOutputs *outputs, const char *path) {
    *outputs = (PackedOutputs){.path = path};
    sha256_begin(&outputs->hash);
    if (path && !(outputs->file = fopen(path, "wb")))
        give_up(FAIL_OUTPUT, "%s cannot be written: %s", path, strerror(errno));
}

void outputs_add(PackedOutputs *outputs, const unsigned char *item, size_t bytes) {
    outputs->items++;
    sha256_add(&outputs->hash, item, bytes);
    if (outputs->file && fwrite(item, 1, bytes, outputs->file) != bytes)
        give_up(FAIL_OUTPUT, "%s cannot be written: %s", outputs->path, strerror(errno));
}

void outputs_close(PackedOutputs *outputs, char digits[65]) {
    sha256_end(&outputs->hash, digits);
    if (!outputs->file) return;
    if (fclose(outputs->file)) give_up(FAIL_OUTPUT, "%s cannot be written: %s", outputs->path, strerror(errno));
    outputs->file = NULL;
}
