"""Weights that the file keeps compressed: expanded once, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING

from mobiledeploy.runtimes.mil_program import unpack
from mobiledeploy.runtimes.mil_reference.graph import Call, UntranslatableError

if TYPE_CHECKING:
    import numpy as np

# A compressed constant's elements, in the shape of the operation's output.
Expansion = Callable[[Call], "np.ndarray"]


def _affine_dequantize(call: Call) -> np.ndarray:
    data = call.array("quantized_data").astype("float32")
    axis = call.whole("axis", 0)
    along = [-1 if item == axis % data.ndim else 1 for item in range(data.ndim)]
    scale, zero = (_along(call.array(name), along) for name in ("scale", "zero_point"))
    expanded: np.ndarray = scale * (data - zero.astype("float32"))
    return expanded


def _along(values: np.ndarray, shape: list[int]) -> np.ndarray:
    return values.reshape(shape) if values.size > 1 else values.reshape(())


def _cast(call: Call) -> np.ndarray:
    return call.array("source_val").astype("float32")


def _lut_to_dense(call: Call) -> np.ndarray:
    if not call.has("shape"):
        return _lut_of_blocks(call)
    shape, table = call.ints("shape"), call.array("lut").reshape(-1)
    bits = (table.size - 1).bit_length()
    indices = unpack(call.array("indices").reshape(-1), bits, prod(shape))
    expanded: np.ndarray = table[indices].reshape(shape)
    return expanded


def _lut_of_blocks(call: Call) -> np.ndarray:
    """Tables (blocks..., entries, vector) over indices of the blocks' rank."""
    import numpy as np

    indices, table = call.array("indices").astype(int), call.array("lut")
    if table.shape[-1] != 1:
        raise UntranslatableError("tables of vectors")
    blocks = table.shape[:-2]
    at = np.ix_(
        *(np.arange(size) // (size // count) for size, count in zip(indices.shape, blocks, strict=True))
    )
    expanded: np.ndarray = table[(*at, indices, 0)]
    return expanded


def _blockwise_shift_scale(call: Call) -> np.ndarray:
    data, scale = call.array("data").astype("float32"), call.array("scale")
    offset = call.array("offset").astype("float32") if call.has("offset") else scale * 0
    expanded: np.ndarray = _spread(scale, data.shape) * (data - _spread(offset, data.shape))
    return expanded


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat each value over the block that it stands for."""
    for axis, size in enumerate(shape):
        values = values.repeat(size // values.shape[axis], axis)
    return values


def _sparse_to_dense(call: Call) -> np.ndarray:
    import numpy as np

    shape = call.output.shape
    mask = call.constant("mask")
    flags = unpack(mask.stored, 1, prod(shape)).astype(bool)
    dense = np.zeros(prod(shape), "float32")
    dense[flags] = call.array("nonzero_data").reshape(-1)
    return dense.reshape(shape)


EXPANSIONS: Mapping[str, Expansion] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_cast": _cast,
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_sparse_to_dense": _sparse_to_dense,
}
