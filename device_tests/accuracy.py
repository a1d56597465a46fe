"""Accuracy of a model file on labelled images, on this host."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy_run import AccuracyRun, PairedDifference, paired
from mobiledeploy.device_tests.scoring import at, make_scoring
from mobiledeploy.device_tests.tasks import AnyPrediction
from mobiledeploy.device_tests.tasks.classification import Prediction
from mobiledeploy.device_tests.tasks.metric import CLASSES, Asked
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.parallel import in_order, usable_cores
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.session import Session

__all__ = ["AccuracyRun", "PairedDifference", "Prediction", "evaluate_sessions", "paired"]


def evaluate_sessions(
    artifact: Artifact,
    opener: Callable[[], Session],
    images: Sequence[LabelledImage[Any]],
    *,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    asked: Asked = CLASSES,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyRun:
    """Run a model file over labelled images, on all cores.

    Args:
        artifact: the file; gives its name, digest and contract.
        opener: opens one more session of it, of one thread; called once per worker.
        images: from ``mobiledeploy.truth.read_truth`` for the same task.
        preprocessing: for a file that does not carry its own; a name is one of
            ``mobiledeploy.presets.PRESETS``, at the size of the file's input.
        label_offset: index of the output for label 0: 1 where class 0 is background, -1 where
            labels count from 1.  None means 0, and is refused where 1 is more likely.
        asked: what is evaluated; classes by default.
        workers: threads; None: one per core.
        progress: called as ``progress(done, total)`` on the calling thread.

    Raises:
        InputError: the file, an image, the labels or the preprocessing do not fit; says which.
        UnsupportedError: the task has no metric.
    """
    if not images:
        raise InputError("there are no images to evaluate", where=artifact.path.name)
    workers = min(workers or usable_cores(), len(images))
    first = opener()
    scoring = make_scoring(artifact, first.inputs, first.outputs, images, preprocessing, label_offset, asked)
    # Pillow and the engines let go of the interpreter while they work, so threads are enough.
    sessions: SimpleQueue[Session] = SimpleQueue()
    for session in (first, *(opener() for _ in range(workers - 1))):
        sessions.put(session)

    def predict(image: LabelledImage[Any]) -> AnyPrediction:
        session = sessions.get()
        try:
            outputs = session.run([scoring.prepare(image)])
        except InputError as error:
            raise at(str(image.path), error) from error
        finally:
            sessions.put(session)
        return scoring.predict(image, outputs)

    predictions: list[AnyPrediction] = []
    started = time.perf_counter()
    for prediction in in_order(predict, images, workers):
        predictions.append(prediction)
        if progress is not None:
            progress(len(predictions), len(images))
    seconds = time.perf_counter() - started
    return AccuracyRun(
        file=artifact.path.name,
        sha256=artifact.sha256,
        engine=first.engine,
        preprocessing=scoring.rule,
        label_offset=scoring.judge.label_offset,
        classes=scoring.judge.classes,
        seconds=seconds,
        workers=workers,
        predictions=tuple(predictions),
        task=asked.task,
        names=asked.names,
        far=asked.far,
    )
