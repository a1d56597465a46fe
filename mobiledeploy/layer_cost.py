"""What a model costs, layer by layer: the words that models and files are counted in.

A mult-add is one multiplication with its addition, as in arXiv 1704.04861.  Layers that multiply by a
matrix or a filter have them; padding counts as pixels do, and additions, activations and pooling are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FULLY_CONNECTED = "Fully connected"
MATRIX_PRODUCT = "Matrix product"
OTHER = "Other"


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer, or one operation that reads numbers of its own.

    Attributes:
        name: of the layer in its module or file.
        kind: as Table 2 of the paper has it: ``Conv 1x1``, ``Conv dw 3x3``, ``Fully connected``...
        mult_adds: of one inference.
        weights: elements of its filter or matrix.
        biases: elements of its bias; a batch norm that is folded into the layer became one.
    """

    name: str
    kind: str
    mult_adds: int
    weights: int
    biases: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


@dataclass(frozen=True, slots=True)
class KindCost:
    """All layers of one kind; the attributes are those of ``LayerCost``, summed."""

    kind: str
    layers: int
    mult_adds: int
    weights: int
    biases: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


@dataclass(frozen=True, slots=True)
class Cost:
    """A model's layers in the order in which they run."""

    layers: tuple[LayerCost, ...]

    @property
    def mult_adds(self) -> int:
        """Of one inference."""
        return sum(layer.mult_adds for layer in self.layers)

    @property
    def weights(self) -> int:
        """Elements of filters and matrices."""
        return sum(layer.weights for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def kinds(self) -> tuple[KindCost, ...]:
        """By kind, the most mult-adds first."""
        found = {
            layer.kind: [item for item in self.layers if item.kind == layer.kind] for layer in self.layers
        }
        sums = [
            KindCost(
                kind,
                len(layers),
                sum(layer.mult_adds for layer in layers),
                sum(layer.weights for layer in layers),
                sum(layer.biases for layer in layers),
            )
            for kind, layers in found.items()
        ]
        return tuple(sorted(sums, key=lambda item: (-item.mult_adds, -item.parameters, item.kind)))


def convolution_kind(
    kernel: Sequence[int], groups: int, group_inputs: int, *, transposed: bool = False
) -> str:
    """``Conv 3x3``, ``Conv dw 3x3`` where every group has one input channel, ``Conv grouped 3x3`` between.

    Args:
        kernel: sides of the filter.
        groups: of channels that do not mix.
        group_inputs: input channels of one group.
        transposed: whether the result is the larger side.
    """
    sides = "x".join(map(str, kernel))
    mixing = "" if groups == 1 else "dw " if group_inputs == 1 else "grouped "
    return f"{'Transposed conv' if transposed else 'Conv'} {mixing}{sides}"
