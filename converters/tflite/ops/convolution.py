"""Convolutions: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.graph import Tensor
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Operand, Value, lowers
from mobiledeploy.converters.tflite.ops.pad import pad_stored
from mobiledeploy.converters.tflite.ops.window import SAME, VALID, Window, absorb_pad, place_windows


@lowers("conv2d.default", "conv2d.padding")
def conv2d(
    lo: Lowering,
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] | str = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Value:
    """torch.nn.functional.conv2d: x (N, I, H, W), weight (O, I/groups, kh, kw)."""
    if isinstance(weight, Value) or isinstance(bias, Value):
        raise CannotLowerError("a convolution whose weights are computed at run time", "use constant weights")
    stride, dilation = _pair(stride), _pair(dilation)
    kernel = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    before = _before(padding, kernel)
    out = lo.result_shape
    windows = [Window(x.shape[2 + i], out[2 + i], kernel[i], stride[i], before[i]) for i in range(2)]
    image = lo.channels_last(x)
    unpadded = absorb_pad(lo, image, windows)
    source, mode = (unpadded, SAME) if unpadded else place_windows(lo, image, windows)
    options = {
        "padding": mode,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
    }
    bias_tensor = _bias(lo, bias, weight)
    name = lo.parameter_name(weight)
    stored = layout.physical_shape(out, layout.NHWC)
    depthwise = groups == x.shape[1] and groups > 1
    if depthwise:
        # (I m, 1, kh, kw) -> (1, kh, kw, I m): output channel i*m + j reads input i in both.
        filters = lo.constant(weight.permute(1, 2, 3, 0), name)
        options["depthMultiplier"] = weight.shape[0] // groups
        kind = "DEPTHWISE_CONV_2D"
    else:
        # With groups the filter is thinner than the input, from which runtimes tell their number.
        filters = lo.constant(weight.permute(0, 2, 3, 1), name)
        kind = "CONV_2D"
    inputs = [source.tensor, filters, bias_tensor]
    return Value(lo.emit(kind, inputs, stored, x.dtype, **options), layout.NHWC)


@lowers("conv1d.default", "conv1d.padding")
def conv1d(
    lo: Lowering,
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """As a convolution over one row."""
    if isinstance(weight, Value):
        raise CannotLowerError("a convolution whose weights are computed at run time", "use constant weights")
    shape = lo.result_shape
    row = lo.reshape(x, (*x.shape[:2], 1, x.shape[2]))
    lo.result_shapes = ((*shape[:2], 1, shape[2]),)
    filters = weight.unsqueeze(2)
    pads = padding if isinstance(padding, str) else (0, *padding)
    out = conv2d(lo, row, filters, bias, (1, *stride), pads, (1, *dilation), groups)
    return lo.reshape(out, shape)


@lowers("convolution.default", "_convolution.default")
def convolution(
    lo: Lowering,
    x: Value,
    weight: Operand,
    bias: Operand | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *_: object,
) -> Value:
    """The general form that decompositions leave."""
    if len(stride) == 1 and x.rank == 3:
        if transposed:
            raise CannotLowerError("a one-dimensional transposed convolution", "use two dimensions")
        return conv1d(lo, x, weight, bias, stride, padding, dilation, groups)
    if transposed:
        return conv_transpose2d(lo, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv2d(lo, x, weight, bias, stride, padding, dilation, groups)


@lowers("conv_transpose2d.input")
def conv_transpose2d(
    lo: Lowering,
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Value:
    """TRANSPOSE_CONV without padding, then the crop that torch calls padding.

    Several groups become one convolution each, joined by a CONCATENATION.
    """
    if isinstance(weight, Value) or isinstance(bias, Value):
        raise CannotLowerError(
            "a transposed convolution whose weights are computed at run time", "use constant weights"
        )
    stride, padding, output_padding, dilation = map(_pair, (stride, padding, output_padding, dilation))
    if tuple(dilation) != (1, 1):
        weight = _dilate(weight, dilation)
    source = lo.channels_last(x)
    inside, outside = weight.shape[0] // groups, weight.shape[1]
    outputs = []
    for group in range(groups):
        part = source if groups == 1 else _channels(lo, source, group * inside, inside)
        filters = weight[group * inside : (group + 1) * inside]
        shift = torch.zeros(outside) if bias is None else bias[group * outside : (group + 1) * outside]
        outputs.append(_transpose_conv(lo, part, filters, shift, stride, padding, lo.result_shape[2:]))
    if groups == 1:
        return outputs[0]
    stored = layout.physical_shape(lo.result_shape, layout.NHWC)
    joined = lo.emit("CONCATENATION", [out.tensor for out in outputs], stored, x.dtype, axis=3)
    return Value(joined, layout.NHWC)


def _transpose_conv(
    lo: Lowering,
    x: Value,
    weight: torch.Tensor,
    bias: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    out: Sequence[int],
) -> Value:
    kernel = weight.shape[2:]
    full = [(x.shape[2 + i] - 1) * stride[i] + kernel[i] for i in range(2)]
    channels = weight.shape[1]
    shape = (x.shape[0], full[0], full[1], channels)
    inputs = [
        lo.integers(shape),
        lo.constant(weight.permute(1, 2, 3, 0), lo.parameter_name(weight)),
        x.tensor,
        lo.constant(bias),
    ]
    options = {"padding": VALID, "strideH": stride[0], "strideW": stride[1]}
    value = Value(lo.emit("TRANSPOSE_CONV", inputs, shape, x.dtype, **options), layout.NHWC)
    begins = [0, padding[0], padding[1], 0]
    kept = [x.shape[0], min(out[0], full[0] - padding[0]), min(out[1], full[1] - padding[1]), channels]
    if kept != list(shape):
        cut = lo.emit("SLICE", [value.tensor, lo.integers(begins), lo.integers(kept)], kept, x.dtype)
        value = Value(cut, layout.NHWC)
    missing = [0, 0, out[0] - kept[1], out[1] - kept[2]]
    if any(missing) and bool(bias.any()):
        raise CannotLowerError(
            "output_padding beyond the kernel, with a bias", "choose a larger kernel or no bias"
        )
    return pad_stored(lo, value, [0] * 4, missing)


def _dilate(weight: torch.Tensor, dilation: Sequence[int]) -> torch.Tensor:
    """Zeros between the taps."""
    *lead, height, width = weight.shape
    wide = weight.new_zeros(*lead, dilation[0] * (height - 1) + 1, dilation[1] * (width - 1) + 1)
    wide[..., :: dilation[0], :: dilation[1]] = weight
    return wide


def _channels(lo: Lowering, x: Value, begin: int, count: int) -> Value:
    shape = [*x.tensor.shape[:3], count]
    inputs = [x.tensor, lo.integers([0, 0, 0, begin]), lo.integers(shape)]
    return Value(lo.emit("SLICE", inputs, shape, x.dtype), layout.NHWC)


def _pair(values: Sequence[int]) -> list[int]:
    return list(values) * 2 if len(values) == 1 else list(values)


def _before(padding: Sequence[int] | str, kernel: Sequence[int]) -> list[int]:
    """Padding before the input; torch's 'same' puts the odd element behind."""
    if padding == "same":
        return [(k - 1) // 2 for k in kernel]
    if isinstance(padding, str):
        return [0, 0]
    return _pair(padding)


def _bias(lo: Lowering, bias: Operand | None, weight: torch.Tensor) -> Tensor:
    """A bias is always written: older runtimes and accelerators want one."""
    if isinstance(bias, torch.Tensor):
        return lo.constant(bias)
    name = lo.parameter_name(weight) or lo.node
    return lo.constant(torch.zeros(weight.shape[0]), f"{name}/zero_bias")
