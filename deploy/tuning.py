"""What quantization-aware fine-tuning learns from labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.parallel import usable_cores
from mobiledeploy.preprocessing import normalise
from mobiledeploy.source import SourceModel
from mobiledeploy.truth import read_truth

if TYPE_CHECKING:
    import torch

    from mobiledeploy.models.training.dataset import Dataset, Sample
    from mobiledeploy.quantize import Lesson

# Every so many images one is kept back, to tell the best epoch by.
_KEPT_BACK = 5
_SEED = 0


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
    from mobiledeploy.quantize import Lesson

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
    outside = [image for image in images if isinstance(image.label, int) and image.label >= count]
    if outside:
        raise InputError(
            f"{outside[0].name} is of class {outside[0].label}, the model has {count} from 0",
            where=str(tuning.labels or tuning.images),
            hint="Take labelled images of the data set that the model was trained on",
        )
    if len(images) < _KEPT_BACK:
        raise InputError(
            f"{len(images)} labelled images are too few",
            where=str(tuning.images),
            hint=f"Give {_KEPT_BACK} or more",
        )
    dataset = Dataset(images, (source.preprocessing,), objective.encode, usable_cores())
    kept_back = range(_KEPT_BACK - 1, len(images), _KEPT_BACK)
    learnt = torch.tensor([place for place in range(len(images)) if place not in kept_back])

    def example(sample: Sample) -> tuple[tuple[torch.Tensor], Any]:
        reals = normalise(sample.pixels[0], dataset.rules[0])
        inputs = torch.from_numpy(reals).permute(2, 0, 1)[None].contiguous()
        return (inputs,), objective.gather([sample.target], [inputs])

    def epoch(number: int) -> _Examples:
        generator = torch.Generator().manual_seed(_SEED + number)
        order = learnt[torch.randperm(len(learnt), generator=generator)]
        return _Examples(dataset, order.tolist(), example)

    return Lesson(epoch, _Examples(dataset, kept_back, example), objective.loss)


def _outputs(source: SourceModel) -> int:
    """How many classes, attributes or cells the model tells."""
    import torch

    with torch.inference_mode():
        given = source.module(*source.example_input)
    if isinstance(given, torch.Tensor):
        return given.shape[-1]
    # A detector's first class is the background.
    return int(given["classes"].shape[-1]) - 1


@dataclass(frozen=True, slots=True)
class _Examples:
    """Some images of a data set, decoded again each time they are read."""

    dataset: Dataset[Any]
    places: Sequence[int]
    example: Callable[[Sample], tuple[tuple[torch.Tensor], Any]]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[tuple[tuple[torch.Tensor], Any]]:
        for (sample,) in self.dataset.deployed(self.places, 1):
            yield self.example(sample)
