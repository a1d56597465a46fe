"""Calibration images become an int8 program, and the yardstick for the files made from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Provenance, TensorSpec
from mobiledeploy.deploy.samples import Reference, one_thread, simulate, take_reference
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.images import find_images, load_image
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch.export import ExportedProgram

    from mobiledeploy.quantize import QuantizationWarning, Recipe

# More calibrate no better; fewer than this cannot show an activation's range.
MOST_IMAGES, FEWEST_IMAGES = 100, 10
# Images on which the files are compared with their source.
COMPARED_IMAGES = 16
# A file may differ from PyTorch by this much more than PyTorch's own simulation of it.
SLACK = 2.0
# Below this share of equal predictions on the calibration images the result is of no use.
LEAST_AGREEMENT = 0.5


@dataclass(frozen=True)
class Int8Program:
    """What int8 files are written from.

    Attributes:
        program: with Q/DQ.
        provenance: of the source, with recipe and calibration images.
        reference: what the float source computes on some calibration images, and how far the
            simulation of the int8 program is from it.
        warnings: named findings about layers and images.
    """

    program: ExportedProgram
    provenance: Provenance
    reference: Reference
    warnings: tuple[QuantizationWarning, ...]


def to_int8(source: SourceModel, program: ExportedProgram, folder: Path, recipe: Recipe) -> Int8Program:
    """Quantize a program on the images of a folder.

    Raises:
        InputError: too few images or unreadable ones, a source that takes no image, or activations
            that are not finite.
        VerificationError: the int8 program hardly ever predicts what the float one does.
    """
    from mobiledeploy.quantize import quantize

    found = find_images(folder)
    if len(found) < FEWEST_IMAGES:
        raise InputError(
            f"{len(found)} calibration images are too few",
            where=str(folder),
            hint=f"Give {FEWEST_IMAGES} or more; {MOST_IMAGES} are used",
        )
    chosen = found[:: max(1, len(found) // MOST_IMAGES)][:MOST_IMAGES]
    with one_thread():
        quantized = quantize(program, _inputs(source, chosen), recipe)
    reference = take_reference(source, chosen[:COMPARED_IMAGES], seeded=False)
    simulated = simulate(quantized.program.module(), reference.samples)
    _check_agreement(source, reference, simulated)
    provenance = replace(
        source.provenance, recipe=recipe.to_json(), calibration=f"{len(chosen)} images, {_digest(chosen)}"
    )
    measured = replace(reference, tolerances=_tolerances(reference, simulated))
    return Int8Program(quantized.program, provenance, measured, quantized.report.warnings)


def _inputs(source: SourceModel, images: tuple[Path, ...]) -> Iterator[tuple[torch.Tensor]]:
    """One image at a time, as the model takes it."""
    import torch

    from mobiledeploy.preprocessing import to_input

    rule = source.preprocessing
    if rule is None or len(source.example_input) != 1:
        raise InputError(
            "the model does not take one image, or does not say how to prepare it",
            where=source.provenance.model,
            hint="Give preprocessing; only images can calibrate",
        )
    example = source.example_input[0]
    spec = TensorSpec("image", tuple(example.shape), "float32", "NCHW", "image")
    for path in images:
        yield (torch.from_numpy(to_input(load_image(path), rule, spec)),)


def _digest(images: tuple[Path, ...]) -> str:
    """sha256 over the images' own, in order."""
    whole = hashlib.sha256()
    for path in images:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256 {whole.hexdigest()}"


def _tolerances(reference: Reference, simulated: tuple[tuple[np.ndarray, ...], ...]) -> tuple[float, ...]:
    """Per output: twice the simulation's largest difference from the float source."""
    import numpy as np

    pairs = zip(zip(*reference.outputs, strict=True), zip(*simulated, strict=True), strict=True)
    return tuple(
        SLACK * max(float(np.abs(a - b).max()) for a, b in zip(exact, rough, strict=True))
        for exact, rough in pairs
    )


def _check_agreement(
    source: SourceModel, reference: Reference, simulated: tuple[tuple[np.ndarray, ...], ...]
) -> None:
    if source.task != "image-classification":
        return
    pairs = zip(reference.outputs, simulated, strict=True)
    same = sum(int(exact[0].argmax() == rough[0].argmax()) for exact, rough in pairs)
    if same < LEAST_AGREEMENT * len(simulated):
        raise VerificationError(
            f"int8 predicts what float does on {same} of {len(simulated)} calibration images",
            where=source.provenance.model,
            hint="Check that the images are what the model is for, and its preprocessing",
        )
