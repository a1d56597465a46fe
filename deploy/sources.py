"""Whatever the user calls a model, as a ``SourceModel``."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobiledeploy.contract import Preprocessing, Provenance, Task
from mobiledeploy.device_tests.history.decode import decode
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import check
from mobiledeploy.presets import preset
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch


def path_of(given: str | Path | None) -> Path | None:
    """A path that may be left out."""
    return None if given is None else Path(given)


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


def load_described(
    model: str | None,
    *,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    task: Task | None = None,
    preprocessing: str | None = None,
    class_names: Path | None = None,
) -> SourceModel:
    """Load a reference, and say of it what it does not say itself.

    Args:
        model, weights, width, resolution, task: as in ``as_source``.
        preprocessing: a preset's name, or a JSON object of ``Preprocessing``'s fields; the size is the
            model's.
        class_names: text file, one name a line, in output order.

    Raises:
        InputError: as ``as_source``; a preprocessing or a file of names that does not fit.
    """
    source = as_source(model, weights=weights, width=width, resolution=resolution, task=task)
    if preprocessing is not None:
        source = replace(source, preprocessing=rule_of(preprocessing, source))
    if class_names is not None:
        source = replace(source, labels=read_names(class_names))
    return source


def rule_of(text: str, source: SourceModel) -> Preprocessing:
    """A preprocessing of a model's size.

    Args:
        text: a preset's name, or a JSON object of ``Preprocessing``'s fields.
        source: takes one image.

    Raises:
        InputError: it does not fit.
    """
    shape = source.example_input[0].shape
    if len(source.example_input) != 1 or len(shape) != 4:
        raise InputError(
            "the model does not take one image", where="preprocessing", hint="Leave the preprocessing out"
        )
    _, channels, height, width = shape
    if not text.lstrip().startswith("{"):
        return preset(text, height, width, channels)
    where = "preprocessing"
    try:
        given = {"height": height, "width": width, **json.loads(text)}
        rule = decode(Preprocessing, given)
    except ValueError as error:
        raise InputError(f"not understood ({error})", where=where, hint="See docs/contract.md") from error
    if not len(rule.mean) == len(rule.std) == channels:
        raise InputError(
            f"the model's input has {channels} channels, mean {len(rule.mean)} and std {len(rule.std)}",
            where=where,
            hint="Give one number for each channel",
        )
    check(rule)
    return rule


def read_names(file: Path) -> tuple[str, ...]:
    """One class name a line, in output order.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return tuple(file.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(
            f"the class names cannot be read ({reason})", where=str(file), hint="Check the path"
        ) from error


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
