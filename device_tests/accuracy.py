"""Accuracy of a model file on labelled images, on this host."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TypeVar

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.device_tests.accuracy_run import TOP, AccuracyRun, PairedDifference, Prediction, paired
from mobiledeploy.device_tests.scores import ScoreOutput, find_score_output, rank
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, load_image
from mobiledeploy.preprocessing import image_size, to_input
from mobiledeploy.presets import PRESETS, preset
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.session import Session

__all__ = ["AccuracyRun", "PairedDifference", "Prediction", "evaluate_sessions", "paired"]

# ImageNet's classes and one for background in front of them, as TF-slim trains.
_IMAGENET_WITH_BACKGROUND = 1001
# Images in work or done and not yet collected, per worker: what keeps the memory flat.
_AHEAD = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def evaluate_sessions(
    artifact: Artifact,
    opener: Callable[[], Session],
    images: Sequence[LabelledImage],
    *,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyRun:
    """Run a model file over labelled images, on all cores.

    Args:
        artifact: the file; gives its name, digest and contract.
        opener: opens one more session of it, of one thread; called once per worker.
        images: from ``mobiledeploy.images.list_images``.
        preprocessing: for a file that does not carry its own; a name is one of
            ``mobiledeploy.presets.PRESETS``, at the size of the file's input.
        label_offset: index of the output for label 0: 1 where class 0 is background, -1 where
            labels count from 1.  None means 0, and is refused where 1 is more likely.
        workers: threads; None: one per core.
        progress: called as ``progress(done, total)`` on the calling thread.

    Raises:
        InputError: the file, an image, the labels or the preprocessing do not fit; says which.
    """
    if not images:
        raise InputError("there are no images to evaluate", where=artifact.path.name)
    workers = min(workers or _cores(), len(images))
    first = opener()
    try:
        plan = _make_plan(artifact, first, images, preprocessing, label_offset)
    except InputError as error:
        raise _at(str(artifact.path), error) from error
    # Pillow and the engines let go of the interpreter while they work, so threads are enough.
    sessions: SimpleQueue[Session] = SimpleQueue()
    for session in (first, *(opener() for _ in range(workers - 1))):
        sessions.put(session)

    def predict(image: LabelledImage) -> Prediction:
        session = sessions.get()
        try:
            return plan.predict(session, image)
        except InputError as error:
            raise _at(str(image.path), error) from error
        finally:
            sessions.put(session)

    predictions: list[Prediction] = []
    started = time.perf_counter()
    for prediction in _in_order(predict, images, workers):
        predictions.append(prediction)
        if progress is not None:
            progress(len(predictions), len(images))
    seconds = time.perf_counter() - started
    return AccuracyRun(
        file=artifact.path.name,
        sha256=artifact.sha256,
        engine=first.engine,
        preprocessing=plan.rule,
        label_offset=plan.label_offset,
        classes=plan.output.classes,
        seconds=seconds,
        workers=workers,
        predictions=tuple(predictions),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one image becomes one prediction."""

    rule: Preprocessing
    source: TensorSpec
    output: ScoreOutput
    label_offset: int

    def predict(self, session: Session, image: LabelledImage) -> Prediction:
        batch = to_input(load_image(image.path), self.rule, self.source)
        scores = self.output.scores(session.run([batch]))
        indices, tied = rank(scores, TOP)
        classes = tuple(index - self.label_offset for index in indices)
        return Prediction(image.name, image.label, classes, tied)


def _make_plan(
    artifact: Artifact,
    session: Session,
    images: Sequence[LabelledImage],
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
) -> _Plan:
    from PIL import Image

    contract = artifact.contract
    if contract is not None:
        preprocessing = contract.preprocessing or preprocessing
    if len(session.inputs) != 1:
        raise InputError(
            f"the file has {len(session.inputs)} inputs",
            hint="Accuracy needs a classifier with one image as its only input",
        )
    (source,) = _described(session.inputs, contract.inputs if contract else ())
    rule = _choose_rule(preprocessing, source)
    output = find_score_output(_described(session.outputs, contract.outputs if contract else ()))
    # What does not fit any image is said once and before the work, not of the first image.
    to_input(Image.new("RGB", (rule.width, rule.height)), rule, source)
    return _Plan(rule, source, output, _choose_offset(images, output.classes, label_offset))


def _described(stored: Sequence[TensorSpec], known: Sequence[TensorSpec]) -> list[TensorSpec]:
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


def _choose_offset(images: Sequence[LabelledImage], classes: int, given: int | None) -> int:
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


def _in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int
) -> Iterator[_Result]:
    """Results of a function run by several threads, in the order of the items.

    The first error in that order is raised, and what has not begun is dropped.
    """
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > _AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _at(place: str, error: InputError) -> InputError:
    """The same error, with the file it happened in."""
    where = error.where if error.where.startswith(place) else f"{place}: {error.where}".rstrip(": ")
    return InputError(error.what, where=where, hint=error.hint)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
