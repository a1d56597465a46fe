"""Whatever the user calls a model, as a ``SourceModel``."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobiledeploy.contract import Preprocessing, Provenance, Task
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch


def as_source(
    model: torch.nn.Module | str | SourceModel | None,
    *,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    example_input: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    task: Task | None = None,
    preprocessing: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
) -> SourceModel:
    """Load a reference or wrap a module; the last three arguments override what it says.

    Args:
        model: a reference (see ``models.load``), None for the default one, a module, or a
            ``SourceModel``.
        weights, width, resolution: for a reference only.
        example_input: for a module, one tensor per input, batch 1.

    Raises:
        InputError: arguments that do not go together, or whatever ``models.load`` refuses.
        EnvironmentProblem: torch or the weights are not on this machine.
    """
    with needs("torch"):
        import torch

        from mobiledeploy import models
    if isinstance(model, str) or model is None:
        chosen: Path | Literal["random"] | None
        chosen = "random" if weights == "random" else Path(weights) if weights is not None else None
        source = models.load(model, weights=chosen, width=width, resolution=resolution)
    else:
        if weights is not None or width is not None or resolution is not None:
            raise InputError(
                "weights, width and resolution go with a model's name, not with a module",
                hint="Load the weights into the module first",
            )
        source = model if isinstance(model, SourceModel) else _wrap(model, example_input)
    if example_input is not None:
        inputs = (example_input,) if isinstance(example_input, torch.Tensor) else tuple(example_input)
        source = replace(source, example_input=inputs)
    return replace(
        source,
        task=task or source.task,
        preprocessing=preprocessing or source.preprocessing,
        labels=source.labels if labels is None else labels,
    )


def _wrap(
    module: torch.nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...] | None
) -> SourceModel:
    import torch

    name = type(module).__name__
    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"{name} is no model",
            hint="Give a torch.nn.Module, a SourceModel or a reference such as mobilenet_v2",
        )
    if example_input is None:
        raise InputError(
            "a module says nothing of its input's shape",
            where=name,
            hint="Pass example_input, for example torch.zeros(1, 3, 224, 224)",
        )
    if any(part.training for part in module.modules()):
        # The caller's module stays in training mode.
        module = copy.deepcopy(module).eval()
    return SourceModel(module, (), provenance=Provenance(model=name.lower()))
