"""How an image becomes an input, and outputs become a prediction, for one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.device_tests.accuracy_run import TOP, Prediction
from mobiledeploy.device_tests.scores import ScoreOutput, find_score_output, rank
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, load_image
from mobiledeploy.preprocessing import image_size, to_input
from mobiledeploy.presets import PRESETS, preset
from mobiledeploy.runtimes.census import Artifact

if TYPE_CHECKING:
    import numpy as np

# ImageNet's classes and one for background in front of them, as TF-slim trains.
_IMAGENET_WITH_BACKGROUND = 1001


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one image becomes one prediction.

    Attributes:
        rule: from image to input.
        source: the file's input.
        output: the output that scores classes.
        label_offset: index of the output for label 0.
    """

    rule: Preprocessing
    source: TensorSpec
    output: ScoreOutput
    label_offset: int

    def prepare(self, image: LabelledImage[int]) -> np.ndarray:
        """The input for one image, of the file's shape and dtype.

        Raises:
            InputError: the image cannot be read.
        """
        try:
            return to_input(load_image(image.path), self.rule, self.source)
        except InputError as error:
            raise at(str(image.path), error) from error

    def judge(self, image: LabelledImage[int], outputs: Sequence[np.ndarray]) -> Prediction:
        """What the outputs for one image say.

        Raises:
            InputError: a score is not a number.
        """
        try:
            indices, tied = rank(self.output.scores(outputs), TOP)
        except InputError as error:
            raise at(str(image.path), error) from error
        classes = tuple(index - self.label_offset for index in indices)
        return Prediction(image.name, image.label, classes, tied)


def make_scoring(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    images: Sequence[LabelledImage[int]],
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
) -> Scoring:
    """How the images of a data set are scored by a file.

    Args:
        artifact: the file; its contract is believed before ``preprocessing``.
        inputs, outputs: as the engine has them.
        images: at least one.
        preprocessing: for a file that does not carry its own; a name is one of
            ``mobiledeploy.presets.PRESETS``, at the size of the file's input.
        label_offset: index of the output for label 0; None means 0, and is refused where 1 is more
            likely.

    Raises:
        InputError: the file, the labels or the preprocessing do not fit.
    """
    try:
        return _scoring(artifact, inputs, outputs, images, preprocessing, label_offset)
    except InputError as error:
        raise at(str(artifact.path), error) from error


def _scoring(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    images: Sequence[LabelledImage[int]],
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
) -> Scoring:
    from PIL import Image

    contract = artifact.contract
    if contract is not None:
        preprocessing = contract.preprocessing or preprocessing
    if len(inputs) != 1:
        raise InputError(
            f"the file has {len(inputs)} inputs",
            hint="Accuracy needs a classifier with one image as its only input",
        )
    (source,) = described(inputs, contract.inputs if contract else ())
    rule = _choose_rule(preprocessing, source)
    output = find_score_output(described(outputs, contract.outputs if contract else ()))
    # What does not fit any image is said once and before the work, not of the first image.
    to_input(Image.new("RGB", (rule.width, rule.height)), rule, source)
    return Scoring(rule, source, output, _choose_offset(images, output.classes, label_offset))


def described(stored: Sequence[TensorSpec], known: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The file's tensors, with layout and content from the contract where the file has no word for them."""
    by_name = {spec.name: spec for spec in known}
    described = []
    for spec in stored:
        other = by_name.get(spec.name, spec)
        described.append(
            replace(spec, layout=spec.layout or other.layout, content=spec.content or other.content)
        )
    return described


def _choose_rule(given: Preprocessing | str | None, source: TensorSpec) -> Preprocessing:
    if isinstance(given, Preprocessing):
        return given
    if given is None:
        raise InputError(
            "the file does not say how images are prepared for it",
            hint=f"Pass --preprocessing with what it was trained with: {', '.join(PRESETS)}",
        )
    return preset(given, *image_size(source))


def _choose_offset(images: Sequence[LabelledImage[int]], classes: int, given: int | None) -> int:
    lowest, highest = (pick(image.label for image in images) for pick in (min, max))
    if given is None and classes == _IMAGENET_WITH_BACKGROUND and highest < classes - 1:
        raise InputError(
            f"the file has {classes} classes, labels go to {highest}",
            hint="If class 0 is background pass --label-offset 1, else --label-offset 0",
        )
    offset = given or 0
    if lowest + offset < 0 or highest + offset >= classes:
        shifted = f" with label offset {offset}" if offset else ""
        raise InputError(
            f"the file has {classes} classes from 0, labels go from {lowest} to {highest}{shifted}",
            hint="If labels count from 1 pass --label-offset -1"
            if lowest + offset > 0
            else "Use the labels of this model's data set",
        )
    return offset


def at(place: str, error: InputError) -> InputError:
    """The same error, with the file it happened in."""
    where = error.where if error.where.startswith(place) else f"{place}: {error.where}".rstrip(": ")
    return InputError(error.what, where=where, hint=error.hint)
