"""Spatial resampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.lowering import Lowering, Value, lowers
from mobiledeploy.converters.tflite.ops.matmul import matmul


@lowers(
    "upsample_nearest2d.vec",
    "upsample_nearest2d.default",
    "_upsample_nearest_exact2d.vec",
    "_upsample_nearest_exact2d.default",
)
def nearest(lo: Lowering, x: Value, *arguments: object) -> Value:
    """torch's 'nearest' rounds down as TFLite does; 'nearest-exact' samples pixel centres."""
    if not _plain_ratio(lo, x, arguments):
        mode = "nearest-exact" if "exact" in lo.overload else "nearest"
        return _resampled(lo, x, mode, arguments, align_corners=None)
    return _resize(lo, "RESIZE_NEAREST_NEIGHBOR", x, False, "exact" in lo.overload)


@lowers("upsample_bilinear2d.vec", "upsample_bilinear2d.default")
def bilinear(lo: Lowering, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    if not align_corners and not _plain_ratio(lo, x, scales):
        return _resampled(lo, x, "bilinear", scales, align_corners=False)
    return _resize(lo, "RESIZE_BILINEAR", x, align_corners, not align_corners)


@lowers("upsample_bicubic2d.vec", "upsample_bicubic2d.default")
def bicubic(lo: Lowering, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return _resampled(lo, x, "bicubic", scales, align_corners=align_corners)


def _resize(lo: Lowering, kind: str, x: Value, align_corners: bool, half_pixel: bool) -> Value:
    out = lo.result_shape
    if out == x.shape:
        return x
    stored = layout.physical_shape(out, layout.NHWC)
    inputs = [lo.channels_last(x).tensor, lo.integers(out[2:])]
    options = {"alignCorners": align_corners, "halfPixelCenters": half_pixel}
    return Value(lo.emit(kind, inputs, stored, x.dtype, **options), layout.NHWC)


def _factors(arguments: Sequence[object]) -> list[float]:
    """Scale factors that the caller gave; torch then samples by them and not by the sizes' ratio."""
    found: list[float] = []
    for argument in arguments:
        if isinstance(argument, float):
            found.append(argument)
        elif isinstance(argument, list | tuple):
            found.extend(value for value in argument if isinstance(value, float))
    return found


def _plain_ratio(lo: Lowering, x: Value, arguments: Sequence[object]) -> bool:
    factors = _factors(arguments)
    sizes = zip(x.shape[2:], lo.result_shape[2:], strict=True)
    return not factors or all(size * f == out for f, (size, out) in zip(factors, sizes, strict=True))


def _resampled(
    lo: Lowering, x: Value, mode: str, arguments: Sequence[object], *, align_corners: bool | None
) -> Value:
    """Any separable resampling as two products with constant matrices, taken from torch itself."""
    factors: list[float] | list[None] = _factors(arguments) or [None, None]
    matrices = []
    for size, out, factor in zip(x.shape[2:], lo.result_shape[2:], factors, strict=True):
        lines = torch.eye(size).reshape(size, 1, size, 1)
        scale = None if factor is None else (factor, 1.0)
        target = (out, 1) if factor is None else None
        sampled = F.interpolate(lines, target, scale, mode, align_corners)
        matrices.append(sampled[:, 0, :, 0].T)
    return separable(lo, x, matrices[0], matrices[1])


def separable(lo: Lowering, x: Value, rows: torch.Tensor, columns: torch.Tensor) -> Value:
    """``out[n, c, i, j] = sum rows[i, h] * columns[j, w] * x[n, c, h, w]``, stored as NHWC."""
    source = lo.channels_last(x)
    batch, height, width, channels = source.tensor.shape
    flat = lo.reshape(Value(source.tensor, layout.identity(4)), (batch, height, width * channels))
    tall = matmul(lo, rows.contiguous()[None], flat)
    lines = lo.reshape(tall, (batch * rows.shape[0], width, channels))
    wide = matmul(lo, columns.contiguous()[None], lines)
    out = lo.reshape(wide, (batch, rows.shape[0], columns.shape[0], channels))
    return Value(lo.contiguous(out).tensor, layout.NHWC)
