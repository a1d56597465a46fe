"""Accuracy of a file on a folder of images whose truth is known, by the metric of its task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Preprocessing, Task
from mobiledeploy.deploy.sources import path_of
from mobiledeploy.device_tests.accuracy import AccuracyRun, evaluate_sessions
from mobiledeploy.device_tests.device_accuracy import DEFAULT, Options, evaluate_on_device
from mobiledeploy.device_tests.tasks.metric import FAR, Asked
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.images import LabelledImage
from mobiledeploy.presets import preset
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import needs, open_session, read_artifact
from mobiledeploy.truth import read_truth, truth_names


def evaluate(
    file: str | Path,
    images: str | Path,
    *,
    labels: str | Path | None = None,
    task: Task | None = None,
    far: float = FAR,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyRun:
    """A model file's figures on images whose truth is known, with 95% intervals.

    Args:
        file: TFLite, ONNX or Core ML file.
        images: folder with the images; of classes or identities one folder for each, unless ``labels``
            says them.
        labels: the truth: CSV of classes, attributes, places or identities; COCO's instances file.
        task: whose metric; None: the task of the file's contract, else classification.
        far: false-accept rate that the true-accept rate of embeddings is told at.
        preprocessing: for a file that does not carry its own: a rule, or the name of a preset.
        label_offset: of a classifier: index of the output for label 0 (1 where class 0 is background).
        workers: threads; None: one per core.
        progress: called as ``progress(done, total)``.

    Returns:
        The run with its predictions and ``figures``; ``mobiledeploy.compare`` compares two of them.

    Raises:
        InputError: the file, an image or the labels do not fit; says which.
        UnsupportedError: the task has no metric, or the file's outputs are not known.
        EnvironmentProblem: the engine that runs the file is not installed, or the evaluator of boxes.
    """
    with needs("all"):
        artifact = _read(Path(file), preprocessing)
        asked, listed = _truth(artifact, Path(images), labels, task, far, label_offset)
        return evaluate_sessions(
            artifact,
            lambda: open_session(artifact.path, threads=1),
            listed,
            preprocessing=preprocessing,
            label_offset=label_offset,
            asked=asked,
            workers=workers,
            progress=progress,
        )


def evaluate_device(
    file: str | Path,
    images: str | Path,
    device: str,
    *,
    labels: str | Path | None = None,
    task: Task | None = None,
    far: float = FAR,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    options: Options = DEFAULT,
    compare: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AccuracyRun:
    """A model file's figures on a device, its outputs beside those of this host.

    Args:
        file, images, labels, task, far, preprocessing, label_offset, progress: as in ``evaluate``.
        device: its reference.
        options: threads, runner and engine there.
        compare: run the file on this host, too, on the same inputs.

    Returns:
        The run; ``run.host.sound`` tells a wrong kernel from rounding.

    Raises:
        InputError, UnsupportedError, EnvironmentProblem: as ``evaluate``.
        DeviceError: the device cannot do it, or was lost too often.
        VerificationError: it computes NaN where this host does not.
    """
    with needs("all"):
        artifact = _read(Path(file), preprocessing)
        asked, listed = _truth(artifact, Path(images), labels, task, far, label_offset)
        return evaluate_on_device(
            device,
            artifact,
            listed,
            options=options,
            preprocessing=preprocessing,
            label_offset=label_offset,
            asked=asked,
            host=(lambda: open_session(artifact.path, threads=1)) if compare else None,
            progress=progress,
        )


def _read(path: Path, preprocessing: Preprocessing | str | None) -> Artifact:
    if isinstance(preprocessing, str):
        # An unknown name is refused even where the file's own rule counts; the size does not matter.
        preset(preprocessing, 224, 224)
    return read_artifact(path)


def _truth(
    artifact: Artifact,
    images: Path,
    labels: str | Path | None,
    task: Task | None,
    far: float,
    label_offset: int | None,
) -> tuple[Asked, tuple[LabelledImage[Any], ...]]:
    """What is asked of the file, and the images with what is known of them."""
    task = task or task_of(artifact)
    table = path_of(labels)
    names = artifact.contract.labels if artifact.contract else artifact.contents.labels
    listed = read_truth(
        task, images, table, class_names=names, classes=_classes(artifact, task, label_offset or 0)
    )
    return Asked(task, _names(task, images, table, names), far), listed


def task_of(artifact: Artifact) -> Task:
    """The task of a file's contract; a file that says none is taken for a classifier."""
    task = artifact.contract.task if artifact.contract else "other"
    return "image-classification" if task == "other" else task


def need_top1(task: Task, option: str, where: str) -> None:
    """Refuse what is measured in top-1 for a model that has none.

    Args:
        task: of the model.
        option: that asks for it.
        where: the model or file, for the message.

    Raises:
        UnsupportedError: it is no classifier.
    """
    if task not in ("image-classification", "other"):
        raise UnsupportedError(
            f"{option} is measured in top-1, the model is for {task}",
            where=where,
            hint="Leave it out, and compare files with mobiledeploy evaluate --against",
        )


def _names(task: Task, images: Path, labels: Path | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """What figures of single classes are called; shares of right images need no names."""
    if task == "multi-label-classification":
        return known or truth_names(task, images, labels)
    return known if task == "object-detection" else ()


def _classes(artifact: Artifact, task: Task, offset: int) -> int | None:
    """How many classes the labels count, None where the file does not say so by its outputs."""
    if task == "object-detection":
        shapes = [output.shape for output in artifact.contents.outputs if output.name == "classes"]
        return shapes[0][-1] - 1 if shapes and len(shapes[0]) == 3 else None
    outputs = artifact.contents.outputs
    if len(outputs) != 1 or not outputs[0].shape or outputs[0].shape[-1] < 1:
        return None
    return outputs[0].shape[-1] - offset
