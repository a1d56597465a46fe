/* Inputs where none are given: the same on every device and in every runner (docs/runner.md). */
#ifndef MADE_UP_H
#define MADE_UP_H

#include "tensor.h"

void made_up_item(unsigned char *item, const Tensors *tensors);

#endif
