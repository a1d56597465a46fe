"""An open model file on this host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    import numpy as np


class Session(Protocol):
    """Runs one file; not to be shared between threads.

    Attributes:
        engine: what computes, with its version (``LiteRT 2.3.0``); a stand-in says so
            (``reference, not Core ML``).
        inputs, outputs: the file's tensors, in the order of ``run``.
    """

    @property
    def engine(self) -> str: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference.

        Args:
            inputs: one array per input, of the input's shape and dtype as stored.

        Returns:
            One array per output, as stored (not dequantized), owned by the caller.

        Raises:
            InputError: number, shape or dtype of the arrays differ from the file's.
        """
        ...


def check_inputs(specs: Sequence[TensorSpec], arrays: Sequence[np.ndarray], where: str) -> None:
    """Number, shapes and dtypes of what a session is given; a promised side of -1 takes any.

    Raises:
        InputError: they differ from the file's.
    """
    if len(arrays) != len(specs):
        raise InputError(f"takes {len(specs)} inputs, got {len(arrays)}", where=where)
    for spec, array in zip(specs, arrays, strict=True):
        same_rank = array.ndim == len(spec.shape)
        sides = zip(array.shape, spec.shape, strict=False)
        if array.dtype.name != spec.dtype or not same_rank or any(p not in (-1, s) for s, p in sides):
            raise InputError(
                f"input {spec.name!r} is {spec.dtype} {list(spec.shape)}, "
                f"got {array.dtype.name} {list(array.shape)}",
                where=where,
            )
