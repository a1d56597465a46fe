"""Accuracy of a file on a folder of labelled images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy import AccuracyRun, evaluate_sessions
from mobiledeploy.device_tests.device_accuracy import DEFAULT, Options, evaluate_on_device
from mobiledeploy.images import LabelledImage
from mobiledeploy.presets import preset
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import needs, open_session, read_artifact
from mobiledeploy.truth.classes import list_images


def evaluate(
    file: str | Path,
    images: str | Path,
    *,
    labels: str | Path | None = None,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyRun:
    """Top-1 and top-5 of a model file, with 95% intervals.

    Args:
        file: TFLite, ONNX or Core ML classifier.
        images: folder with one folder per class (named as the file's labels, or by class index),
            or any folder of images with ``labels``.
        labels: CSV of file names and class indices.
        preprocessing: for a file that does not carry its own: a rule, or the name of a preset.
        label_offset: index of the output for label 0 (1 where class 0 is background).
        workers: threads; None: one per core.
        progress: called as ``progress(done, total)``.

    Returns:
        The run with its predictions; ``mobiledeploy.paired`` compares two of them.

    Raises:
        InputError: the file, an image or the labels do not fit; says which.
        EnvironmentProblem: the engine that runs the file is not installed.
    """
    with needs("all"):
        artifact, listed = _read(Path(file), images, labels, preprocessing, label_offset)
        return evaluate_sessions(
            artifact,
            lambda: open_session(artifact.path, threads=1),
            listed,
            preprocessing=preprocessing,
            label_offset=label_offset,
            workers=workers,
            progress=progress,
        )


def evaluate_device(
    file: str | Path,
    images: str | Path,
    device: str,
    *,
    labels: str | Path | None = None,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    options: Options = DEFAULT,
    compare: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AccuracyRun:
    """Top-1 and top-5 of a model file on a device, its outputs beside those of this host.

    Args:
        file, images, labels, preprocessing, label_offset, progress: as in ``evaluate``.
        device: its reference.
        options: threads, runner and engine there.
        compare: run the file on this host, too, on the same inputs.

    Returns:
        The run; ``run.host.sound`` tells a wrong kernel from rounding.

    Raises:
        InputError, EnvironmentProblem: as ``evaluate``.
        DeviceError: the device cannot do it, or was lost too often.
        VerificationError: it computes NaN where this host does not.
    """
    with needs("all"):
        artifact, listed = _read(Path(file), images, labels, preprocessing, label_offset)
        return evaluate_on_device(
            device,
            artifact,
            listed,
            options=options,
            preprocessing=preprocessing,
            label_offset=label_offset,
            host=(lambda: open_session(artifact.path, threads=1)) if compare else None,
            progress=progress,
        )


def _read(
    path: Path,
    images: str | Path,
    labels: str | Path | None,
    preprocessing: Preprocessing | str | None,
    label_offset: int | None,
) -> tuple[Artifact, tuple[LabelledImage[int], ...]]:
    """The file, and the images with the classes that it knows."""
    if isinstance(preprocessing, str):
        # An unknown name is refused even where the file's own rule counts; the size does not matter.
        preset(preprocessing, 224, 224)
    artifact = read_artifact(path)
    return artifact, list_images(
        Path(images),
        None if labels is None else Path(labels),
        class_names=artifact.contract.labels if artifact.contract else artifact.contents.labels,
        classes=_classes(artifact, label_offset or 0),
    )


def _classes(artifact: Artifact, offset: int) -> int | None:
    """How many classes the labels count, None where the file does not say so by its only output."""
    outputs = artifact.contents.outputs
    if len(outputs) != 1 or not outputs[0].shape or outputs[0].shape[-1] < 1:
        return None
    return outputs[0].shape[-1] - offset
