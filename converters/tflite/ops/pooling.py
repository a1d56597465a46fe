"""Max, average and adaptive pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Value, lowers
from mobiledeploy.converters.tflite.ops.arithmetic import binary
from mobiledeploy.converters.tflite.ops.pad import LOWEST, pad_stored
from mobiledeploy.converters.tflite.ops.reduce import reduce
from mobiledeploy.converters.tflite.ops.resize import separable
from mobiledeploy.converters.tflite.ops.window import VALID, Window, place_windows


@lowers("max_pool2d.default", "max_pool2d_with_indices.default")
def max_pool2d(
    lo: Lowering,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Value | tuple[Value, ...]:
    if any(d != 1 for d in dilation):
        raise CannotLowerError("dilated max pooling has no TFLite operator", "pool without dilation")
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    source = _three_axes_to_four(lo, x)
    out = lo.result_shapes[0][-2:]
    windows = [Window(source.shape[2 + i], out[i], kernel[i], stride[i], padding[i]) for i in range(2)]
    # Padding must never win. Behind a RELU zeros cannot, and they take the faster PAD.
    fill = 0.0 if _never_negative(lo, source) else LOWEST
    placed, mode = place_windows(lo, lo.channels_last(source), windows, fill)
    result = lo.reshape(_pool(lo, "MAX_POOL_2D", placed, kernel, stride, out, mode), lo.result_shapes[0])
    return (result,) * len(lo.result_shapes) if len(lo.result_shapes) > 1 else result


@lowers("avg_pool2d.default")
def avg_pool2d(
    lo: Lowering,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    """AVERAGE_POOL_2D, whose SAME leaves padding out of the count as count_include_pad=False does.

    Elsewhere: zeros around, a plain average, and a constant that corrects each place's divisor.
    """
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    source = lo.channels_last(_three_axes_to_four(lo, x))
    out = lo.result_shape[-2:]
    windows = [Window(source.shape[2 + i], out[i], kernel[i], stride[i], padding[i]) for i in range(2)]
    ones = torch.ones(1, 1, *source.shape[2:])
    wanted = F.avg_pool2d(ones, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    before = [w.before for w in windows]
    after = [max(w.after, 0) for w in windows]
    padded = F.pad(ones, (before[1], after[1], before[0], after[0]))
    plain = F.avg_pool2d(padded, kernel, stride)[..., : out[0], : out[1]]
    if bool((wanted == 1).all()) and all(w.is_same for w in windows):
        placed, mode = place_windows(lo, source, windows)
        return lo.reshape(_pool(lo, "AVERAGE_POOL_2D", placed, kernel, stride, out, mode), lo.result_shape)
    inside = pad_stored(lo, source, [0, 0, *before], [0, 0, *after])
    result = _pool(lo, "AVERAGE_POOL_2D", inside, kernel, stride, out, VALID)
    ratio = wanted / plain
    if not torch.equal(ratio, torch.ones_like(ratio)):
        result = binary(lo, "MUL", result, ratio)
    return lo.reshape(result, lo.result_shape)


@lowers("adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default")
def adaptive_avg_pool2d(lo: Lowering, x: Value, size: Sequence[int]) -> Value:
    """MEAN to one place, AVERAGE_POOL_2D over even bins, else a product with the bins' matrix."""
    return _adaptive(lo, x, "MEAN", "AVERAGE_POOL_2D")


@lowers("adaptive_max_pool2d.default")
def adaptive_max_pool2d(lo: Lowering, x: Value, size: Sequence[int]) -> tuple[Value, Value]:
    result = _adaptive(lo, x, "REDUCE_MAX", "MAX_POOL_2D")
    return result, result


def _adaptive(lo: Lowering, x: Value, whole: str, pool: str) -> Value:
    out = lo.result_shapes[0][-2:]
    inside = x.shape[-2:]
    if inside == out:
        return x
    if out == (1, 1):
        return reduce(lo, whole, x, [-2, -1], True)
    source = _three_axes_to_four(lo, x)
    if all(i % o == 0 for i, o in zip(inside, out, strict=True)):
        kernel = [i // o for i, o in zip(inside, out, strict=True)]
        result = _pool(lo, pool, lo.channels_last(source), kernel, kernel, out, VALID)
    elif whole == "MEAN":
        bins = [F.adaptive_avg_pool1d(torch.eye(i)[None], o)[0].T for i, o in zip(inside, out, strict=True)]
        result = separable(lo, source, bins[0], bins[1])
    else:
        raise CannotLowerError(
            "adaptive max pooling over uneven bins", "choose an output that divides the input"
        )
    return lo.reshape(result, lo.result_shapes[0])


def _pool(
    lo: Lowering,
    kind: str,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    out: Sequence[int],
    mode: int,
) -> Value:
    shape = (x.shape[0], *out, x.shape[1])
    options = {
        "padding": mode,
        "strideH": stride[0],
        "strideW": stride[1],
        "filterHeight": kernel[0],
        "filterWidth": kernel[1],
    }
    return Value(lo.emit(kind, [x.tensor], shape, x.dtype, **options), layout.NHWC)


def _three_axes_to_four(lo: Lowering, x: Value) -> Value:
    return x if x.rank == 4 else lo.reshape(x, (1, *x.shape))


def _never_negative(lo: Lowering, x: Value) -> bool:
    op = lo.producer(x)
    return op is not None and op.kind in {"RELU", "RELU6", "LOGISTIC"}


def _pair(values: Sequence[int]) -> list[int]:
    return list(values) * 2 if len(values) == 1 else list(values)
