"""Models from ``package.module:callable``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from mobiledeploy.contract import Provenance
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.models.weights import Weights
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.source import SourceModel

RESOLUTION = 224


def load_callable(reference: str, weights: Weights | None, resolution: int | None) -> SourceModel:
    """Import a module (from the current folder too), call what is named, and take what it returns.

    Args:
        reference: ``package.module:name``; the name is a module, or takes no arguments and returns a
            module, a (module, example input) pair or a ``SourceModel``.
        weights: a state dict to load into it, ``"random"`` or None to keep what the callable made.
        resolution: height and width of the example input where the callable gives none.

    Raises:
        InputError: nothing can be imported by that name, the call fails or returns something else, or the
            weights do not fit.
    """
    from mobiledeploy.models.checkpoints import load_file
    from mobiledeploy.models.random_weights import seeded

    with _current_folder_importable():
        with seeded():
            target = _target(reference)
        with seeded():
            made = _made(target, reference)
    source = _source(made, reference, resolution)
    provenance = replace(source.provenance, model=source.provenance.model or reference)
    if weights == "random":
        provenance = replace(provenance, weights="random", weights_sha256="")
    elif weights is not None:
        name, digest = load_file(source.module, weights)
        provenance = Provenance(model=provenance.model, weights=name, weights_sha256=digest)
    return replace(source, module=source.module.eval(), provenance=provenance)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _target(reference: str) -> object:
    path, _, names = reference.partition(":")
    target: object = _imported(path, reference)
    for name in names.split("."):
        if not hasattr(target, name):
            known = [item for item in dir(target) if not item.startswith("_")]
            hint = did_you_mean(name, known, otherwise=f"Check the names in {path}")
            raise InputError(f"{path} has no {name}", where=reference, hint=hint)
        target = getattr(target, name)
    return target


def _made(target: object, reference: str) -> object:
    from torch import nn

    if isinstance(target, nn.Module):
        return target
    if not callable(target):
        raise InputError(
            f"it is {type(target).__name__}, neither a module nor a callable",
            where=reference,
            hint="Name a function that takes no arguments and returns a module",
        )
    try:
        return target()
    except MobileDeployError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the call failed ({_first_line(error)})",
            where=reference,
            hint="It is called without arguments: see that this works in Python first",
        ) from error


def _imported(path: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            raise InputError(
                f"there is no module {path}",
                where=reference,
                hint="It is looked for in the current folder and among the installed packages",
            ) from error
        raise _import_failed(path, reference, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(path, reference, error) from error


def _import_failed(path: str, reference: str, error: BaseException) -> InputError:
    return InputError(
        f"importing {path} failed ({_first_line(error)})",
        where=reference,
        hint="See that python can import it first",
    )


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _source(made: object, reference: str, resolution: int | None) -> SourceModel:
    import torch
    from torch import nn

    from mobiledeploy.models.random_weights import image_input

    size = resolution or RESOLUTION
    match made:
        case SourceModel() | (nn.Module(), _) if resolution is not None:
            raise InputError(
                "the callable gives its own example input",
                where=reference,
                hint="Leave --resolution out, or change the callable",
            )
        case SourceModel():
            return made
        case nn.Module():
            return SourceModel(made, image_input(3, size, size))
        case (nn.Module() as module, torch.Tensor() as example):
            return SourceModel(module, (example,))
        case (nn.Module() as module, tuple() | list() as examples) if _tensors(examples):
            return SourceModel(module, tuple(examples))
    raise InputError(
        f"the callable returned {type(made).__name__}",
        where=reference,
        hint="It should return a torch.nn.Module, a (module, example input) pair or a SourceModel",
    )


def _tensors(values: tuple[object, ...] | list[object]) -> bool:
    import torch

    return bool(values) and all(isinstance(value, torch.Tensor) for value in values)
