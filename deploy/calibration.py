"""Calibration inputs, and what the contract says of them: images, or batch norm statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from mobiledeploy.contract import Preprocessing
from mobiledeploy.deploy.samples import Sample, image_rule, image_samples, one_thread, seeded_samples
from mobiledeploy.errors import InputError
from mobiledeploy.images import find_images, spread
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

# What --calibration says instead of a folder to take batch norm statistics.
NO_DATA = "none"
# More calibrate no better; fewer than this cannot show an activation's range.
MOST_IMAGES, FEWEST_IMAGES = 100, 10
# What is learnt from these holds for others the more, the more there are.
MOST_LEARNT = 1000
# Inputs on which the files are compared with their source.
COMPARED = 16

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageInputs(Sequence["tuple[torch.Tensor]"]):
    """Images as the model takes them, decoded one at a time each time they are read."""

    source: SourceModel
    images: tuple[Path, ...]

    def __len__(self) -> int:
        """How many."""
        return len(self.images)

    @overload
    def __getitem__(self, place: int) -> tuple[torch.Tensor]: ...

    @overload
    def __getitem__(self, place: slice) -> ImageInputs: ...

    def __getitem__(self, place: int | slice) -> tuple[torch.Tensor] | ImageInputs:
        """(1, channels, height, width), or some of the images.

        Raises:
            InputError: the image cannot be read, or the model takes none.
        """
        import torch

        if isinstance(place, slice):
            return ImageInputs(self.source, self.images[place])
        ((array,),) = image_samples(self.source, [self.images[place]])
        return (torch.from_numpy(array),)

    @property
    def said(self) -> str:
        """What the contract says of them."""
        return f"{len(self.images)} images, {_digest(self.images)}"


@dataclass(frozen=True)
class Calibration:
    """Inputs that show a quantizer the model's activations.

    Attributes:
        inputs: as the program takes them, batch 1.
        said: what the contract says of them.
        compared: some of them, to compare files with their source on.
        images: how many of ``compared`` are real images.
        learnt: what fine-tuning learns from; None: ``inputs``.
    """

    inputs: Sequence[tuple[torch.Tensor, ...]]
    said: str
    compared: tuple[Sample, ...]
    images: int
    learnt: ImageInputs | None = None


def calibration_for(
    source: SourceModel, program: ExportedProgram, asked: str | Path | None, progress: Progress | None = None
) -> Calibration:
    """Images of a folder, inputs made from batch norm statistics (``none``), or nothing (None).

    Args:
        source: what is quantized; says how an image becomes an input.
        program: the same, exported.
        asked: as ``--calibration`` was given.
        progress: called as ``progress(done, total)`` where it takes long.

    Raises:
        InputError: too few images or unreadable ones, a source that takes no image or does not say how
            to prepare it, or no batch norm statistics.
    """
    if asked is None:
        return Calibration((), "", tuple(seeded_samples(source)), 0)
    rule = image_rule(source, "Give preprocessing; only images can calibrate")
    if str(asked) == NO_DATA:
        return _from_statistics(source, program, rule, progress)
    found = _enough_images(Path(asked))
    shown, learnt = (ImageInputs(source, spread(found, most)) for most in (MOST_IMAGES, MOST_LEARNT))
    compared = tuple(image_samples(source, shown.images[:COMPARED]))
    return Calibration(shown, shown.said, compared, len(compared), learnt)


def choose_images(folder: Path) -> tuple[Path, ...]:
    """Those of a folder that calibrate, evenly spread over it.

    Raises:
        InputError: fewer than 10.
    """
    return spread(_enough_images(folder), MOST_IMAGES)


def _enough_images(folder: Path) -> tuple[Path, ...]:
    found = find_images(folder)
    if len(found) < FEWEST_IMAGES:
        raise InputError(
            f"{len(found)} calibration images are too few",
            where=str(folder),
            hint=f"Give {FEWEST_IMAGES} or more; up to {MOST_IMAGES} are used",
        )
    return found


def _from_statistics(
    source: SourceModel, program: ExportedProgram, rule: Preprocessing, progress: Progress | None
) -> Calibration:
    import torch

    from mobiledeploy.quantize.synthesis import synthesise

    if not source.example_input[0].is_floating_point():
        raise InputError(
            "made inputs are reals, and the file is to take raw pixels",
            where="--calibration none",
            hint="Calibrate on images, or leave --input-dtype uint8 out",
        )
    pairs = list(zip(rule.mean, rule.std, strict=True))
    low, high = (torch.tensor([(pixel - mean) / std for mean, std in pairs]) for pixel in (0, 255))
    classes = 0
    if source.task == "image-classification":
        classes = int(_first_output(program).shape[-1])
    with one_thread():
        inputs = synthesise(program, (low, high), classes=classes, progress=progress)
    compared = tuple(tuple(tensor.numpy() for tensor in each) for each in inputs[:COMPARED])
    return Calibration(inputs, f"no data: {len(inputs)} inputs from batch norm statistics", compared, 0)


def _first_output(program: ExportedProgram) -> torch.Tensor:
    nodes = {node.name: node for node in program.graph.nodes}
    first: torch.Tensor = nodes[program.graph_signature.user_outputs[0]].meta["val"]
    return first


def _digest(images: tuple[Path, ...]) -> str:
    """sha256 over the images' own, in order."""
    whole = hashlib.sha256()
    for path in images:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256 {whole.hexdigest()}"
