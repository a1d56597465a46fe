"""Labelled images in batches, in an order and with crops that depend on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from mobiledeploy.contract import Preprocessing
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, load_image
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.models.training.views import View, deployed_view, pixels_of, random_view
from mobiledeploy.parallel import in_order
from mobiledeploy.preprocessing import upright

# Images of one group that a batch holds where groups matter.
_RUN = 4

_Label = TypeVar("_Label")


# What a network should say of a view, given the image's label.
Encode = Callable[[Any, View], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image.

    Attributes:
        pixels: (height, width, channels) uint8, for each rule of the data set.
        target: what the network should say.
    """

    pixels: tuple[np.ndarray, ...]
    target: Any


@dataclass(frozen=True, slots=True)
class Batch:
    """Places of the images that one process takes in one step.

    Attributes:
        epoch: counted from 0; seeds the crops.
        places: in the data set.
    """

    epoch: int
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dataset(Generic[_Label]):
    """Labelled images as a network is shown them.

    Attributes:
        images: in a fixed order.
        rules: preprocessing of the network, and of its teacher.
        encode: from a label to a target.
        workers: threads that decode.
    """

    images: Sequence[LabelledImage[_Label]]
    rules: tuple[Preprocessing, ...]
    encode: Encode
    workers: int

    def order(self, settings: Settings, epoch: int, groups: Sequence[int] | None = None) -> np.ndarray:
        """The places of all images in an epoch.

        Args:
            settings: give the seed.
            epoch: counted from 0.
            groups: of each image, where a batch is to hold several images of a group.
        """
        generator = np.random.default_rng((settings.seed, epoch))
        order = generator.permutation(len(self.images))
        return order if groups is None else _side_by_side(order, np.asarray(groups)[order], generator)

    def training(self, batches: Sequence[Batch], settings: Settings) -> Iterator[list[Sample]]:
        """Random views of each batch, made ahead while the caller works.

        Raises:
            InputError: an image cannot be read.
        """

        def draw(size: tuple[int, int], epoch: int, place: int) -> View:
            generator = np.random.default_rng((settings.seed, epoch, place))
            return random_view(self.rules[0], size, generator, settings.smallest_crop, settings.flip)

        def make(item: tuple[int, int]) -> Sample:
            epoch, place = item
            return self._sample(place, lambda size: draw(size, epoch, place))

        items = ((batch.epoch, place) for batch in batches for place in batch.places)
        samples = in_order(make, items, self.workers)
        for batch in batches:
            yield [next(samples) for _ in batch.places]

    def deployed(self, places: Sequence[int], size: int) -> Iterator[list[Sample]]:
        """What the network will be shown on the device, in batches.

        Raises:
            InputError: an image cannot be read.
        """
        rule = self.rules[0]
        made = in_order(
            lambda place: self._sample(place, lambda shape: deployed_view(rule, shape)), places, self.workers
        )
        batch: list[Sample] = []
        for sample in made:
            batch.append(sample)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def inputs(self, samples: Sequence[Sample], rule: int, device: torch.device) -> torch.Tensor:
        """(N, channels, height, width) float32, normalised.

        Args:
            samples: of this data set.
            rule: place of the preprocessing among ``rules``.
            device: to compute on.
        """
        pixels = torch.from_numpy(np.stack([sample.pixels[rule] for sample in samples]))
        reals = pixels.to(device).permute(0, 3, 1, 2).float()
        chosen = self.rules[rule]
        mean, std = (reals.new_tensor(values).view(1, -1, 1, 1) for values in (chosen.mean, chosen.std))
        return (reals - mean) / std

    def _sample(self, place: int, look: Callable[[tuple[int, int]], View]) -> Sample:
        labelled = self.images[place]
        try:
            image = upright(load_image(labelled.path))
            view = look(image.size)
            pixels = tuple(pixels_of(image, view, rule) for rule in self.rules)
        except InputError as error:
            if not error.where.startswith(str(labelled.path)):
                error.where = str(labelled.path)
            raise
        return Sample(pixels, self.encode(labelled.label, view))


def _side_by_side(order: np.ndarray, groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same places, runs of up to ``_RUN`` of one group together, the runs in random order."""
    runs: list[np.ndarray] = []
    for group in np.unique(groups):
        members = order[groups == group]
        runs += [members[begin : begin + _RUN] for begin in range(0, len(members), _RUN)]
    return np.concatenate([runs[index] for index in generator.permutation(len(runs))])
