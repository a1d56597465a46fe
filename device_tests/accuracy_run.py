"""What an evaluation found, and how two of them on the same images compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.statistics import Interval, mcnemar, paired_difference, wilson
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import identity

SCHEMA_VERSION = 1
TOP = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model said about one image.

    Attributes:
        image: name of the image.
        label: its class.
        classes: the model's best ``TOP`` classes (fewer if it has fewer), best first; equal scores
            in order of index.  Numbered as the labels are: with a label offset of 1, -1 stands for
            the model's class 0.
        tied: whether another class had the same score as the first.
    """

    image: str
    label: int
    classes: tuple[int, ...]
    tied: bool


@dataclass(frozen=True, slots=True)
class Share:
    """How many images were right.

    Attributes:
        correct: images.
        share: 0..1.
        interval: 95% Wilson interval of the share.
    """

    correct: int
    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class AccuracyRun:
    """One evaluation of one file.

    Attributes:
        file: name of the model file.
        sha256: of the model file.
        engine: what computed, as the session said.
        preprocessing: from image to input, as it was done.
        label_offset: index of the output that stands for label 0.
        classes: number of classes that the file scores.
        seconds: wall time from the first image to the last, decoding and inference.
        workers: threads that decoded and inferred.
        predictions: one per image, in the order of the images.
        device: reference of the device that computed; None: this host, in this process.
        facts: what that device is.
        engine_seconds: inference alone, on a device; None: not told apart.
        outputs_sha256: of all outputs that a device computed, in order.
        host: its outputs beside this host's; None: not compared.
    """

    file: str
    sha256: str
    engine: str
    preprocessing: Preprocessing
    label_offset: int
    classes: int
    seconds: float
    workers: int
    predictions: tuple[Prediction, ...]
    device: str | None = None
    facts: DeviceFacts | None = None
    engine_seconds: float | None = None
    outputs_sha256: str | None = None
    host: HostComparison | None = None

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.predictions)

    @property
    def top1(self) -> Share:
        """Images whose label has the best score."""
        return self._within(1)

    @property
    def top5(self) -> Share:
        """Images whose label is among the five best scores (all of them for five classes or fewer)."""
        return self._within(TOP)

    @property
    def tied(self) -> int:
        """Images whose best score two classes share, usual with 8-bit outputs: order decided them."""
        return sum(prediction.tied for prediction in self.predictions)

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
            "top1": asdict(self.top1),
            "top5": asdict(self.top5),
            "tied": self.tied,
            "images_per_second": self.images_per_second,
            "preprocessing_id": self.preprocessing_id,
            "sound": None if self.host is None else self.host.sound,
        }

    def to_json(self) -> str:
        """``to_dict`` as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _within(self, top: int) -> Share:
        correct = sum(item.label in item.classes[:top] for item in self.predictions)
        return Share(correct, correct / self.images, wilson(correct, self.images))


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

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def paired(first: AccuracyRun, second: AccuracyRun) -> PairedDifference:
    """Compare two runs image by image, which tells smaller differences apart than two intervals.

    Raises:
        InputError: the runs are of different images or labels.
    """
    pairs = _pair_up(first, second)
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


def _pair_up(first: AccuracyRun, second: AccuracyRun) -> list[tuple[Prediction, Prediction]]:
    ours, theirs = (sorted(run.predictions, key=lambda item: item.image) for run in (first, second))
    differ = sorted(
        {(item.image, item.label) for item in ours} ^ {(item.image, item.label) for item in theirs}
    )
    if differ:
        raise InputError(
            f"the runs are of different images or labels, as for {differ[0][0]}",
            where=f"{first.file} and {second.file}",
            hint="Evaluate both files on the same folder and labels",
        )
    return list(zip(ours, theirs, strict=True))
