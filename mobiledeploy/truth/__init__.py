"""What is known of images, by task: a reader of its ground truth for each, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.contract import Task
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.images import LabelledImage, upright_size
from mobiledeploy.truth import attributes, boxes, classes, identities, places


@dataclass(frozen=True, slots=True)
class Truth:
    """How the ground truth of a task is read.

    Attributes:
        wanted: what ``labels`` has to be, for messages; empty: folders alone do.
        read: images with their truth, from the folder, the labels, the model's class names and the
            number of its classes.
        names: what the data set calls its classes, in order; from the folder and the labels.
    """

    wanted: str
    read: Callable[[Path, Any, Sequence[str], int | None], tuple[LabelledImage[Any], ...]]
    names: Callable[[Path, Any], tuple[str, ...]] = lambda _folder, _labels: ()


TRUTHS: Mapping[Task, Truth] = {
    "image-classification": Truth(
        "",
        lambda folder, labels, names, count: classes.list_images(
            folder, labels, class_names=names, classes=count
        ),
        classes.names_of,
    ),
    "multi-label-classification": Truth(
        "a CSV of files and attributes",
        lambda folder, labels, names, count: attributes.list_attributes(
            folder, labels, names=names, classes=count
        ),
        attributes.names_of,
    ),
    "geolocation": Truth(
        "a CSV of files, latitudes and longitudes",
        lambda folder, labels, _names, _count: places.list_places(folder, labels),
    ),
    "embedding": Truth("", lambda folder, labels, _names, _count: identities.list_identities(folder, labels)),
    "object-detection": Truth(
        "the instances file of COCO's form",
        lambda folder, labels, names, count: boxes.list_boxes(
            folder, labels, class_names=names, classes=count
        ),
        boxes.names_of,
    ),
}


def read_truth(
    task: Task,
    folder: Path,
    labels: Path | None,
    *,
    class_names: Sequence[str] = (),
    classes: int | None = None,
) -> tuple[LabelledImage[Any], ...]:
    """Images of a data set with their truth, sorted by name; each is known to be an image.

    Args:
        task: of the model.
        folder: where the images are.
        labels: the data set's file of labels; None: folders say it, where the task allows.
        class_names: the model's labels in output order.
        classes: how many classes the model has, where known.

    Raises:
        InputError: no labels where some are needed, labels that do not fit, or a file that is no image.
        UnsupportedError: nothing is known of truth for this task.
    """
    images = list_truth(task, folder, labels, class_names=class_names, classes=classes)
    for image in images:
        upright_size(image.path)
    return images


def list_truth(
    task: Task,
    folder: Path,
    labels: Path | None,
    *,
    class_names: Sequence[str] = (),
    classes: int | None = None,
) -> tuple[LabelledImage[Any], ...]:
    """``read_truth`` for a caller that decodes every image anyway: they are not opened here.

    Args:
        task, folder, labels, class_names, classes: as in ``read_truth``.

    Raises:
        InputError, UnsupportedError: as ``read_truth``, but for files that are no images.
    """
    return _find(task, folder, labels).read(folder, labels, class_names, classes)


def truth_names(task: Task, folder: Path, labels: Path | None) -> tuple[str, ...]:
    """What a data set calls its classes; given to ``read_truth`` as ``class_names`` they number them.

    Args:
        task, folder, labels: as in ``read_truth``.

    Returns:
        The names; none where the data set has none.

    Raises:
        InputError, UnsupportedError: as ``read_truth``.
    """
    return _find(task, folder, labels).names(folder, labels)


def _find(task: Task, folder: Path, labels: Path | None) -> Truth:
    if task not in TRUTHS:
        raise UnsupportedError(
            f"there is no ground truth for the task {task}",
            where=str(folder),
            hint=f"It is read for {', '.join(TRUTHS)}",
        )
    truth = TRUTHS[task]
    if labels is None and truth.wanted:
        raise InputError(
            f"the task {task} needs labels", where=str(folder), hint=f"Pass --labels with {truth.wanted}"
        )
    return truth
