"""An open model file on this host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mobiledeploy.contract import TensorSpec

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
