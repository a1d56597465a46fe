"""What quantization-aware fine-tuning learns from labelled images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.parallel import usable_cores
from mobiledeploy.source import SourceModel
from mobiledeploy.truth import read_truth
from mobiledeploy.truth.classes import check_classes

if TYPE_CHECKING:
    import torch

    from mobiledeploy.quantize import Lesson


@dataclass(frozen=True, slots=True)
class Tuning:
    """Labelled images for fine-tuning.

    Attributes:
        images: folder, as for ``train``.
        labels: as for ``train``; None: the folders are classes.
    """

    images: Path
    labels: Path | None = None


def lesson_for(source: SourceModel, tuning: Tuning) -> Lesson:
    """To say what labels say, by the loss that networks of this task are trained with.

    Images are seen as the device will see them, without crops; every fifth is kept back.

    Args:
        source: what is quantized.
        tuning: the images.

    Raises:
        InputError: the images or labels do not fit the model, or are fewer than five.
        UnsupportedError: there is no training for the task, or none that looks at one image at a time.
    """
    import torch

    from mobiledeploy.models.training.dataset import Dataset
    from mobiledeploy.models.training.objectives import objective_for
    from mobiledeploy.models.training.settings import Settings
    from mobiledeploy.quantize.lesson import KEPT_BACK, kept_apart

    if source.task == "embedding":
        raise UnsupportedError(
            "embeddings are learnt from several images at once, fine-tuning sees one",
            where=source.provenance.model,
            hint="Fine-tune without labels: the float model's embeddings are learnt then",
        )
    objective = objective_for(source, Settings())
    if source.preprocessing is None:
        raise InputError(
            "the model does not say how an image becomes its input",
            where=source.provenance.model,
            hint="Give --preprocessing",
        )
    count = _outputs(source)
    images = read_truth(source.task, tuning.images, tuning.labels, class_names=source.labels, classes=count)
    if source.task == "image-classification":
        hint = "Take labelled images of the data set that the model was trained on"
        check_classes(images, count, tuning.labels or tuning.images, hint)
    if len(images) < KEPT_BACK:
        raise InputError(
            f"{len(images)} labelled images are too few",
            where=str(tuning.images),
            hint=f"Give {KEPT_BACK} or more",
        )
    dataset = Dataset(images, (source.preprocessing,), objective.encode, usable_cores())

    def show(places: Sequence[int]) -> Iterator[tuple[tuple[torch.Tensor], Any]]:
        for samples in dataset.deployed(places, 1):
            inputs = dataset.inputs(samples, 0, torch.device("cpu"))
            yield (inputs,), objective.gather([samples[0].target], [inputs])

    return kept_apart(len(images), show, objective.loss)


def _outputs(source: SourceModel) -> int:
    """How many classes, attributes or cells the model tells."""
    import torch

    with torch.inference_mode():
        given = source.module(*source.example_input)
    if isinstance(given, torch.Tensor):
        return given.shape[-1]
    # A detector's first class is the background.
    return int(given["classes"].shape[-1]) - 1
