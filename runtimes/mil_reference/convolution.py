"""Convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering


def padding(call: Call, kernel: list[int], strides: list[int], dilations: list[int]) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis, whatever way the operation states it.

    ``same`` puts an odd element behind, ``same_lower`` before.
    """
    rule = call.text("pad_type", "valid")
    if rule == "valid":
        return [(0, 0)] * len(kernel)
    if rule == "custom":
        given = call.ints("pad", [0] * (2 * len(kernel)))
        return list(zip(given[::2], given[1::2], strict=True))
    pairs = []
    sizes = zip(call.shape()[2:], call.output.shape[2:], kernel, strides, dilations, strict=True)
    for size, out, window, stride, dilation in sizes:
        total = max((out - 1) * stride + (window - 1) * dilation + 1 - size, 0)
        small, large = total // 2, total - total // 2
        pairs.append((large, small) if rule == "same_lower" else (small, large))
    return pairs


def onnx_pads(pairs: list[tuple[int, int]]) -> list[int]:
    """All that comes before, then all that comes after."""
    return [before for before, _ in pairs] + [after for _, after in pairs]


def _conv(call: Call) -> str:
    kernel = list(call.shape("weight")[2:])
    ones = [1] * len(kernel)
    strides, dilations = call.ints("strides", ones), call.ints("dilations", ones)
    return call.emit(
        "Conv",
        call.x(),
        call.x("weight"),
        *([call.x("bias")] if call.has("bias") else []),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=call.whole("groups", 1),
        pads=onnx_pads(padding(call, kernel, strides, dilations)),
    )


def _conv_transpose(call: Call) -> str:
    kernel = list(call.shape("weight")[2:])
    ones = [1] * len(kernel)
    strides, dilations = call.ints("strides", ones), call.ints("dilations", ones)
    given = call.ints("pad", [0] * (2 * len(kernel)))
    pairs, extra = [], []
    for axis, (size, out) in enumerate(zip(call.shape()[2:], call.output.shape[2:], strict=True)):
        full = (size - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        before, after = given[2 * axis], given[2 * axis + 1]
        if call.text("pad_type", "valid") != "custom":
            cut = max(full - out, 0)
            before, after = cut // 2, cut - cut // 2
        pairs.append((before, after))
        extra.append(out - (full - before - after))
    return call.emit(
        "ConvTranspose",
        call.x(),
        call.x("weight"),
        *([call.x("bias")] if call.has("bias") else []),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=call.whole("groups", 1),
        pads=onnx_pads(pairs),
        output_padding=extra,
    )


LOWERINGS: Mapping[str, Lowering] = {"conv": _conv, "conv_transpose": _conv_transpose}
