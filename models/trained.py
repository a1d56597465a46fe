"""Checkpoints that say what they are weights of: safetensors files with the contract inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch

# One key: safetensors writes several in any order.
_KEY = "mobiledeploy.trained"


@dataclass(frozen=True, slots=True)
class Description:
    """What builds the network that the weights fit.

    Attributes:
        reference: a zoo name, ``timm:NAME``, ``torchvision:NAME`` or ``package.module:callable``.
        width: multiplier of a zoo model.
        resolution: height and width of the input, pixels.
    """

    reference: str
    width: float
    resolution: int


@dataclass(frozen=True, slots=True)
class Trained:
    """What a checkpoint says of itself.

    Attributes:
        description: how its network is built.
        contract: task, preprocessing, labels, anchors; its tensors are those of the network.
    """

    description: Description
    contract: Contract


def save_trained(
    path: Path, state: Mapping[str, torch.Tensor], source: SourceModel, description: Description
) -> None:
    """Write weights with what they are; equal ones give equal bytes.

    Args:
        path: where; an earlier file of that name is replaced by the whole new one.
        state: of ``source.module``.
        source: its task, preprocessing, labels, anchors and provenance go into the file.
        description: how the network is built again.

    Raises:
        OSError: it cannot be written.
    """
    from mobiledeploy.models.checkpoints import needs_safetensors
    from mobiledeploy.writing import write_whole

    with needs_safetensors(path):
        from safetensors.torch import save
    shape = tuple(source.example_input[0].shape)
    contract = Contract(
        inputs=(TensorSpec("image", shape, "float32", "NCHW", "image"),),
        outputs=(),
        task=source.task,
        preprocessing=source.preprocessing,
        labels=source.labels,
        provenance=source.provenance,
        anchors=source.anchors,
    )
    said = {"model": asdict(description), "contract": json.loads(contract.to_json())}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_whole(path, save(tensors, {_KEY: json.dumps(said, sort_keys=True, ensure_ascii=False)}))


def read_trained(path: Path) -> Trained | None:
    """What a safetensors file says of itself; None if it holds weights alone.

    Raises:
        InputError: the file is damaged, or says it in a way that this version does not understand.
    """
    from mobiledeploy.models.checkpoints import damaged, needs_safetensors, require_readable

    with needs_safetensors(path):
        from safetensors import SafetensorError, safe_open
    require_readable(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise damaged(path) from error
    if _KEY not in metadata:
        return None
    try:
        said = json.loads(metadata[_KEY])
        model, contract = said["model"], json.dumps(said["contract"])
        description = Description(str(model["reference"]), float(model["width"]), int(model["resolution"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"it does not say what network its weights are of ({error})",
            where=str(path),
            hint="Name the network, and this file with --weights",
        ) from error
    return Trained(description, Contract.from_json(contract, where=str(path)))


def trained_weights(weights: Path | str | None) -> Trained | None:
    """What a file of weights says of itself; None for another kind of file, or none."""
    if not isinstance(weights, Path) or weights.suffix != ".safetensors":
        return None
    return read_trained(weights)
