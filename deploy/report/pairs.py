"""The float and the integer version of a model, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mobiledeploy.deploy.report.story import Story, Subject
from mobiledeploy.device_tests.accuracy_run import PairedDifference
from mobiledeploy.device_tests.metric_difference import MetricDifference, compare
from mobiledeploy.device_tests.statistics import Interval
from mobiledeploy.errors import InputError

# Words of a file's name that say in what it computes.
_PRECISIONS = re.compile(
    r"(?:^|[-_. ])(?:f(?:p|loat)?(?:16|32)|float|u?int8|i8|int16x8|w8a8|quant(?:ized)?|qdq|ptq|"
    r"dynamic|weights)(?=$|[-_. ])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A float file and an integer file of one model, of one format and by their names.

    Attributes:
        before: of floats.
        after: of integers.
        speed: median of ``after`` over that of ``before`` in the same setting; None: not both measured.
        speed_interval: from the ends of both medians' 95% intervals, wider than 95%.
        points: of accuracy, on the same images; None: not both evaluated on them.
    """

    before: Subject
    after: Subject
    speed: float | None
    speed_interval: Interval | None
    points: PairedDifference | MetricDifference | None


def find_pairs(story: Story) -> tuple[Pair, ...]:
    """Every integer subject with the float one of its model in the same setting.

    Whether a file computes in floats is what was read from the file; which files are of one model is told
    by their names, without the words for a precision.
    """
    return tuple(_find(story.subjects))


def family(name: str) -> str:
    """A file's name without words for its precision, in small letters; its suffix stays."""
    stem, _, suffix = name.lower().rpartition(".")
    while (shorter := _PRECISIONS.sub("", stem, count=1)) != stem:
        stem = shorter
    return f"{stem.strip('-_. ')}.{suffix}"


def _find(subjects: Sequence[Subject]) -> Iterator[Pair]:
    for after in subjects:
        if not after.arithmetic or _is_float(after):
            continue
        partners = [
            before
            for before in subjects
            if _is_float(before)
            and before.timed == after.timed
            and (not after.timed or before.run.setting == after.run.setting)
            and family(before.run.row.model_name) == family(after.run.row.model_name)
        ]
        # float32 where there is float16 as well.
        if partners:
            yield _pair(max(partners, key=lambda subject: subject.arithmetic), after)


def _is_float(subject: Subject) -> bool:
    return subject.arithmetic in ("float32", "float16")


def _pair(before: Subject, after: Subject) -> Pair:
    speed, interval = None, None
    if before.timed and after.timed:
        ours, theirs = after.milliseconds, before.milliseconds
        if all(value > 0 for value in (*ours, *theirs)):
            speed = ours[0] / theirs[0]
            interval = Interval(ours[1] / theirs[2], ours[2] / theirs[1])
    points = None
    if before.accuracy and after.accuracy:
        try:
            points = compare(before.accuracy, after.accuracy)
        except InputError:
            # Of other images, or another task.
            points = None
    return Pair(before, after, speed, interval, points)
