"""What every conversion starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mobiledeploy.contract import Anchors, Preprocessing, Provenance, Suppression, Task

if TYPE_CHECKING:
    import torch

# Key in the ``meta`` of a layer's graph node whose batch norm was folded: (mean, standard deviation) of its
# output per channel, as the batch norm left it for the activation.
OUTPUT_MOMENTS = "mobiledeploy.output_moments"


@dataclass(frozen=True)
class SourceModel:
    """A PyTorch model in eval mode with what a file has to say about it.

    Attributes:
        module: the model, in eval mode; takes float32 tensors, images as NCHW.
        example_input: one tensor per input, batch 1, as the model takes them.
        task: what the outputs are for.
        preprocessing: from image to input; None if the input is no image.
        labels: class names in output order; empty if unknown.
        provenance: reference, weights and licence (tools are added when a file is written).
        anchors: of a detector whose outputs are relative to them.
        suppression: of a detector that decodes its outputs itself.
    """

    module: torch.nn.Module
    example_input: tuple[torch.Tensor, ...]
    task: Task = "other"
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    anchors: Anchors | None = None
    suppression: Suppression | None = None
