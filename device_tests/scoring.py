"""How an image becomes an input, and outputs become a prediction, for one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.device_tests.tasks import AnyPrediction, find_metric
from mobiledeploy.device_tests.tasks.metric import Asked, Given, Judge
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, load_image
from mobiledeploy.preprocessing import image_size, to_input
from mobiledeploy.presets import PRESETS, preset
from mobiledeploy.runtimes.census import Artifact

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one image becomes one prediction.

    Attributes:
        rule: from image to input.
        source: the file's input.
        asked: what is evaluated.
        judge: from outputs to a prediction.
    """

    rule: Preprocessing
    source: TensorSpec
    asked: Asked
    judge: Judge

    def prepare(self, image: LabelledImage[Any]) -> np.ndarray:
        """The input for one image, of the file's shape and dtype.

        Raises:
            InputError: the image cannot be read.
        """
        try:
            return to_input(load_image(image.path), self.rule, self.source)
        except InputError as error:
            raise at(str(image.path), error) from error

    def predict(self, image: LabelledImage[Any], outputs: Sequence[np.ndarray]) -> AnyPrediction:
        """What the outputs for one image say.

        Raises:
            InputError: an output is not a number.
        """
        try:
            prediction: AnyPrediction = self.judge.predict(image, outputs)
        except InputError as error:
            raise at(str(image.path), error) from error
        return prediction

    def same(self, image: LabelledImage[Any], *outputs: Sequence[np.ndarray]) -> bool:
        """Whether two engines' outputs for one image say the same."""
        first, second = (self.predict(image, side) for side in outputs)
        return find_metric(self.asked.task).same(first, second)


def make_scoring(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    images: Sequence[LabelledImage[Any]],
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
    asked: Asked,
) -> Scoring:
    """How the images of a data set are scored by a file.

    Args:
        artifact: the file; its contract is believed before ``preprocessing``.
        inputs, outputs: as the engine has them.
        images: at least one, with the truth of the task.
        preprocessing: for a file that does not carry its own; a name is one of
            ``mobiledeploy.presets.PRESETS``, at the size of the file's input.
        label_offset: of a classifier: index of the output for label 0; None means 0, and is refused
            where 1 is more likely.
        asked: what is evaluated.

    Raises:
        InputError: the file, the labels or the preprocessing do not fit.
        UnsupportedError: the task has no metric.
    """
    try:
        return _scoring(artifact, inputs, outputs, images, preprocessing, label_offset, asked)
    except InputError as error:
        raise at(str(artifact.path), error) from error


def _scoring(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    images: Sequence[LabelledImage[Any]],
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
    asked: Asked,
) -> Scoring:
    from PIL import Image

    contract = artifact.contract
    if contract is not None:
        preprocessing = contract.preprocessing or preprocessing
    if len(inputs) != 1:
        raise InputError(
            f"the file has {len(inputs)} inputs",
            hint="Accuracy needs a model with one image as its only input",
        )
    if label_offset is not None and asked.task != "image-classification":
        raise InputError(
            f"a label offset is of classifiers, the task is {asked.task}", hint="Leave out --label-offset"
        )
    (source,) = described(inputs, contract.inputs if contract else ())
    rule = _choose_rule(preprocessing, source)
    # What does not fit any image is said once and before the work, not of the first image.
    to_input(Image.new("RGB", (rule.width, rule.height)), rule, source)
    known = described(outputs, contract.outputs if contract else ())
    judge = find_metric(asked.task).judge(Given(known, contract, rule, images, asked, label_offset))
    return Scoring(rule, source, asked, judge)


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


def at(place: str, error: InputError) -> InputError:
    """The same error, with the file it happened in."""
    where = error.where if error.where.startswith(place) else f"{place}: {error.where}".rstrip(": ")
    return InputError(error.what, where=where, hint=error.hint)
