"""From what a user types to a model: zoo names, callables, other libraries, programs."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

from mobiledeploy.contract import Contract, Provenance
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.models.entry import ZooEntry, at_resolution
from mobiledeploy.models.trained import read_trained, trained_weights
from mobiledeploy.models.weights import Weights, find
from mobiledeploy.models.zoo import DEFAULT_MODEL, entries
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.source import SourceModel

CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
KINDS = (
    "Give a zoo name, package.module:callable, timm:NAME, torchvision:NAME, a .pt2 or a trained .safetensors"
)
MODEL_SIZES = range(32, 4097)  # five halvings leave at least one pixel
LARGEST_WIDTH = 8.0


def load(
    reference: str | None = None,
    *,
    weights: Path | str | None = None,
    width: float | None = None,
    resolution: int | None = None,
) -> SourceModel:
    """The model that a reference names, in eval mode, with its contract.

    Args:
        reference: a zoo name (``mobilenet_v1``, ...), ``package.module:callable`` (the callable returns a
            module, a module with its example input, or a ``SourceModel``), ``timm:NAME``,
            ``torchvision:NAME``, the path of a ``.pt2`` program, or of a ``.safetensors`` checkpoint of
            ``train``; None is MobileNetV2.
        weights: path of a state dict, or ``"random"`` for seeded untrained weights; None finds the published
            ones (zoo, timm, torchvision) or leaves a callable's own.
        width: channel multiplier, zoo models only; None is 1.
        resolution: height and width of the input in pixels; None is the model's own, or 224.

    Returns:
        The model; ``provenance.weights`` says where the weights came from, and that they were matched by
        order and shape where they were.

    Raises:
        InputError: the reference, the weights or an option does not fit.
        UnsupportedError: a program with dynamic shapes.
        EnvironmentProblem: a library or the published weights are not on this machine.
    """
    reference = DEFAULT_MODEL if reference is None else reference
    _check(width, resolution)
    chosen: Weights | None = "random" if weights == "random" else None if weights is None else Path(weights)
    if reference.endswith(".safetensors"):
        return _from_checkpoint(Path(reference), chosen, width, resolution)
    entry = find_entry(reference)
    if width is not None and entry is None:
        raise InputError(
            "only models of the zoo have a width multiplier", where=reference, hint="Leave --width out"
        )
    if reference.endswith(".pt2"):
        from mobiledeploy.models.programs import load_program

        if weights is not None or resolution is not None:
            raise InputError(
                "a .pt2 program has its weights and resolution inside",
                where=reference,
                hint="Leave --weights and --resolution out, or export the program again with others",
            )
        return load_program(Path(reference))
    trained = trained_weights(chosen)
    if trained is not None and (entry is None or trained.description.reference == reference):
        width = trained.description.width if width is None else width
        resolution = resolution or trained.description.resolution
    if entry is not None:
        source = _from_zoo(entry, chosen, width or 1.0, resolution)
    else:
        source = _from_elsewhere(reference, chosen, resolution)
    return source if trained is None else _as_trained(source, trained.contract)


def _as_trained(source: SourceModel, contract: Contract) -> SourceModel:
    """A source with what the checkpoint of its weights says of them, at the source's own size."""
    rule = contract.preprocessing or source.preprocessing
    return replace(
        source,
        task=contract.task,
        labels=contract.labels,
        preprocessing=rule and at_resolution(rule, source.example_input[0].shape[-1]),
    )


def _from_elsewhere(reference: str, weights: Weights | None, resolution: int | None) -> SourceModel:
    library, _, name = reference.partition(":")
    if library == "timm":
        from mobiledeploy.models.external import load_timm

        return load_timm(name, weights, resolution)
    if library == "torchvision":
        from mobiledeploy.models.external import load_torchvision

        return load_torchvision(name, weights, resolution)
    if CALLABLE.fullmatch(reference):
        from mobiledeploy.models.callables import load_callable

        return load_callable(reference, weights, resolution)
    raise _unknown(reference)


def is_own_code(reference: str) -> bool:
    """Whether a reference names a callable of the user: to load it is to run that code."""
    foreign = reference.partition(":")[0] in ("timm", "torchvision")
    return CALLABLE.fullmatch(reference) is not None and not foreign


def find_entry(name: str) -> ZooEntry | None:
    """The model of the zoo that has this name."""
    return next((entry for entry in entries() if entry.name == name), None)


def _check(width: float | None, resolution: int | None) -> None:
    if width is not None and not 0.0 < width <= LARGEST_WIDTH:
        raise InputError(
            f"the width multiplier {width:g} is out of range",
            hint=f"Give a number above 0 and up to {LARGEST_WIDTH:g}, for example 0.5",
        )
    if resolution is not None and resolution not in MODEL_SIZES:
        raise InputError(
            f"the resolution {resolution} is out of range",
            hint=f"Give a number of pixels from {MODEL_SIZES[0]} to {MODEL_SIZES[-1]}, for example 224",
        )


def _from_checkpoint(
    path: Path, weights: Weights | None, width: float | None, resolution: int | None
) -> SourceModel:
    trained = read_trained(path)
    if trained is None:
        raise InputError(
            "it holds weights and does not say of what network",
            where=str(path),
            hint="Name the network, and this file with --weights",
        )
    if weights is not None or width is not None:
        raise InputError(
            "a trained checkpoint has its weights and width inside",
            where=str(path),
            hint="Leave --weights and --width out",
        )
    reference = trained.description.reference
    if reference.endswith(".safetensors") or is_own_code(reference):
        # A file of weights must not have code imported.
        raise InputError(
            f"its network is the code {reference}",
            where=str(path),
            hint=f"If you trust that code, give {reference} as the model and this file with --weights",
        )
    return load(reference, weights=path, resolution=resolution)


def _from_zoo(entry: ZooEntry, weights: Weights | None, width: float, resolution: int | None) -> SourceModel:
    from mobiledeploy.models.checkpoints import describe, load_into, read_state_dict, sha256
    from mobiledeploy.models.random_weights import image_input, seeded

    name = entry.name if math.isclose(width, 1.0) else f"{entry.name} (width {width:g})"
    labels, outputs = entry.labels(), entry.outputs
    if weights == "random":
        with seeded():
            module = entry.build(width, outputs)
        provenance = Provenance(model=name, weights="random")
    else:
        path = _published(entry, width) if weights is None else weights
        state = read_state_dict(path)
        outputs = entry.count(state) or entry.outputs
        module = entry.build(width, outputs)
        how = load_into(module, state, where=str(path))
        digest = sha256(path)
        known = entry.weights is not None and entry.weights.sha256 == digest
        provenance = Provenance(
            model=name,
            weights=describe(path, how),
            weights_sha256=digest,
            licence=entry.weights.licence if entry.weights and known else "",
        )
    preprocessing = entry.preprocessing_at(resolution or entry.preprocessing.height)
    return SourceModel(
        module=module.eval(),
        example_input=image_input(3, preprocessing.height, preprocessing.width),
        task=entry.task,
        preprocessing=preprocessing,
        labels=labels if outputs == len(labels) else (),
        provenance=provenance,
        anchors=entry.anchors(preprocessing.height),
    )


def _published(entry: ZooEntry, width: float) -> Path:
    if entry.weights is None:
        raise EnvironmentProblem(
            "there are no published PyTorch weights (its maker published TensorFlow checkpoints)"
            if entry.top1 is not None
            else "there are no published weights",
            where=entry.name,
            hint="Name a state dict with --weights FILE, or --weights random for untrained ones",
        )
    if not math.isclose(width, 1.0):
        raise InputError(
            f"the published weights are for width 1, not {width:g}",
            where=entry.name,
            hint="Name a state dict of that width with --weights FILE, or leave --width out",
        )
    return find(entry.weights)


def _unknown(reference: str) -> InputError:
    if Path(reference).suffix in {".pth", ".pt", ".safetensors"}:
        hint = "Weights need an architecture: give its name, and the file with --weights"
    else:
        hint = did_you_mean(reference, (entry.name for entry in entries()), otherwise=KINDS)
    return InputError("there is no such model", where=reference or "(empty)", hint=hint)
