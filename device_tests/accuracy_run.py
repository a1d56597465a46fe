"""What an evaluation found, and how two of them on the same images compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from mobiledeploy.contract import Preprocessing, Task
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.statistics import Interval, mcnemar, paired_difference
from mobiledeploy.device_tests.tasks import AnyPrediction, find_metric
from mobiledeploy.device_tests.tasks.classification import TOP, Prediction, Share, within
from mobiledeploy.device_tests.tasks.metric import FAR, Asked, Figure, Metric
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import identity

SCHEMA_VERSION = 1


# Without slots, so that figures are drawn once.
@dataclass(frozen=True)
class AccuracyRun:
    """One evaluation of one file.

    Attributes:
        file: name of the model file.
        sha256: of the model file.
        engine: what computed, as the session said.
        preprocessing: from image to input, as it was done.
        label_offset: index of the output that stands for label 0; 0 but for classifiers.
        classes: number of classes that the file scores; of an embedding, its numbers.
        seconds: wall time from the first image to the last, decoding and inference.
        workers: threads that decoded and inferred.
        predictions: one per image, in the order of the images, of the kind that the task's metric has.
        device: reference of the device that computed; None: this host, in this process.
        facts: what that device is.
        engine_seconds: inference alone, on a device; None: not told apart.
        outputs_sha256: of all outputs that a device computed, in order.
        host: its outputs beside this host's; None: not compared.
        task: whose metric it was evaluated by.
        names: of the classes or attributes that figures are told of; empty: not known.
        far: false-accept rate of a verification.
    """

    file: str
    sha256: str
    engine: str
    preprocessing: Preprocessing
    label_offset: int
    classes: int
    seconds: float
    workers: int
    predictions: tuple[AnyPrediction, ...]
    device: str | None = None
    facts: DeviceFacts | None = None
    engine_seconds: float | None = None
    outputs_sha256: str | None = None
    host: HostComparison | None = None
    task: Task = "image-classification"
    names: tuple[str, ...] = ()
    far: float = FAR

    @property
    def metric(self) -> Metric[Any]:
        """Of its task."""
        return find_metric(self.task)

    @property
    def asked(self) -> Asked:
        """What was evaluated."""
        return Asked(self.task, self.names, self.far)

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.predictions)

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """All figures of its task's metric, the one that stands for all of them first."""
        return self.metric.figures(self.predictions, self.asked)

    def recalling(self, figures: tuple[Figure, ...]) -> AccuracyRun:
        """The same run, whose figures are known from before: to draw those of many boxes takes a minute."""
        known = replace(self)
        known.__dict__["figures"] = figures
        return known

    @property
    def headline(self) -> Figure:
        """The figure that stands for all of them."""
        return self.figures[0]

    @property
    def classified(self) -> tuple[Prediction, ...]:
        """The predictions of a classifier.

        Raises:
            InputError: it is a run of another task.
        """
        found = tuple(item for item in self.predictions if isinstance(item, Prediction))
        if len(found) < self.images:
            raise InputError(
                f"a model for {self.task} has no top-1",
                where=self.file,
                hint=f"Its figures are {', '.join(figure.name for figure in self.figures)}",
            )
        return found

    @property
    def top1(self) -> Share:
        """Images whose label has the best score; of a classifier, see ``classified``."""
        return within(self.classified, 1)

    @property
    def top5(self) -> Share:
        """Images whose label is among the five best scores (all of them for five classes or fewer)."""
        return within(self.classified, TOP)

    @property
    def tied(self) -> int:
        """Images whose best score two classes share, usual with 8-bit outputs: order decided them."""
        return sum(prediction.tied for prediction in self.classified)

    @property
    def images_per_second(self) -> float:
        """Decoding, preprocessing and inference together."""
        return self.images / self.seconds

    @property
    def preprocessing_id(self) -> str:
        """Equal for equal preprocessing."""
        return identity(self.preprocessing)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the fields, the figures drawn from them and the schema's version."""
        return {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "images": self.images,
            "figures": [asdict(figure) for figure in self.figures],
            **self.metric.details(self.predictions, self.asked),
            "images_per_second": self.images_per_second,
            "preprocessing_id": self.preprocessing_id,
            "sound": None if self.host is None else self.host.sound,
        }

    def to_json(self) -> str:
        """``to_dict`` as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Top-1 of a second run less that of a first, on the same images.

    Attributes:
        points: difference in percentage points; above 0 where the second is better.
        interval: its 95% interval (Bonett and Price), percentage points.
        p_value: McNemar's exact test that both are equally good.
        gained: images that only the second got right.
        lost: images that only the first got right.
        agreement: share of images for which both named the same class first, 0..1.
    """

    points: float
    interval: Interval
    p_value: float
    gained: int
    lost: int
    agreement: float

    @property
    def metric(self) -> str:
        """Name of the figure."""
        return "top-1"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def paired(first: AccuracyRun, second: AccuracyRun) -> PairedDifference:
    """Compare two runs image by image, which tells smaller differences apart than two intervals.

    Raises:
        InputError: the runs are of different images or labels, or not of classifiers.
    """
    pairs = list(zip(*(run.classified for run in pair_up(first, second)), strict=True))
    gained = sum(b.classes[0] == b.label != a.classes[0] for a, b in pairs)
    lost = sum(a.classes[0] == a.label != b.classes[0] for a, b in pairs)
    interval = paired_difference(gained, lost, len(pairs))
    return PairedDifference(
        points=100 * (gained - lost) / len(pairs),
        interval=Interval(100 * interval.low, 100 * interval.high),
        p_value=mcnemar(gained, lost),
        gained=gained,
        lost=lost,
        agreement=sum(a.classes[0] == b.classes[0] for a, b in pairs) / len(pairs),
    )


def pair_up(first: AccuracyRun, second: AccuracyRun) -> tuple[AccuracyRun, AccuracyRun]:
    """The runs with their predictions in order of the images' names.

    Raises:
        InputError: the runs are of different tasks, images or labels.
    """
    where = f"{first.file} and {second.file}"
    if first.task != second.task:
        raise InputError(
            f"the runs are of different tasks, {first.task} and {second.task}",
            where=where,
            hint="Compare files of one task, or pass --task",
        )
    ours, theirs = (sorted(run.predictions, key=lambda item: item.image) for run in (first, second))
    differ = {(item.image, item.truth) for item in ours} ^ {(item.image, item.truth) for item in theirs}
    if differ:
        raise InputError(
            f"the runs are of different images or labels, as for {min(name for name, _ in differ)}",
            where=where,
            hint="Evaluate both files on the same folder and labels",
        )
    return replace(first, predictions=tuple(ours)), replace(second, predictions=tuple(theirs))
