"""A network to be trained, with as many outputs as its data has names for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Provenance, Task
from mobiledeploy.errors import InputError
from mobiledeploy.models.references import find_entry, load
from mobiledeploy.models.zoo import MODEL_FILES
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch
    from torch import nn


def task_of(reference: str) -> Task | None:
    """What a model of the zoo is for; None for another's, which says so when it is made."""
    entry = find_entry(reference)
    return entry.task if entry else None


def fresh(
    reference: str,
    *,
    outputs: int | None,
    labels: tuple[str, ...],
    weights: Path | None,
    width: float,
    resolution: int | None,
    seed: int,
) -> SourceModel:
    """A network before training.

    Args:
        reference: as in ``load``, but for ``.pt2`` programs and checkpoints.
        outputs: how many of its own kind (classes, attributes, ...); None: as many as the zoo gives it.
        labels: names of the outputs; empty: those of the zoo, where the number is the zoo's.
        weights: a state dict to begin with; a head of another size begins anew.
        width, resolution: as in ``load``.
        seed: of what begins anew.

    Raises:
        InputError: the reference or the weights do not fit.
    """
    import torch

    entry = find_entry(reference)
    if entry is None:
        if reference.endswith(MODEL_FILES):
            raise InputError(
                "a file cannot be trained",
                where=reference,
                hint="Name a network, and the file with --weights",
            )
        source = load(reference, weights=weights or _untrained(reference), resolution=resolution)
        return replace(source, labels=labels)
    source = load(reference, weights="random", width=width, resolution=resolution)
    count = entry.outputs if outputs is None else outputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = entry.build(width, count)
    provenance = replace(source.provenance, weights="random")
    if weights is not None:
        provenance = _begin_with(module, weights, source.provenance.model)
    if not labels and count == entry.outputs:
        labels = entry.labels()
    return replace(source, module=module, labels=labels, provenance=provenance)


def _untrained(reference: str) -> str | None:
    """Other libraries' networks begin untrained; a callable knows what it begins with."""
    return "random" if reference.partition(":")[0] in {"timm", "torchvision"} else None


def _begin_with(module: nn.Module, weights: Path, model: str) -> Provenance:
    from mobiledeploy.models.checkpoints import load_into, read_state_dict, sha256

    state = read_state_dict(weights)
    own = module.state_dict()
    for name in _other_heads(own, state):
        state[name] = own[name]
    load_into(module, state, where=str(weights))
    return Provenance(model=model, weights=weights.name, weights_sha256=sha256(weights))


def _other_heads(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> list[str]:
    """Tensors of the same name that differ in the number of outputs alone."""
    return [
        name
        for name, value in own.items()
        if name in state
        and state[name].ndim == value.ndim
        and state[name].shape != value.shape
        and state[name].shape[1:] == value.shape[1:]
    ]
