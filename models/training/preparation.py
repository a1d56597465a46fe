"""From names and folders to a training that can begin; whatever does not fit is said here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mobiledeploy.contract import Preprocessing, Task
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage, find_images, load_image
from mobiledeploy.models.checkpoints import sha256
from mobiledeploy.models.fresh import fresh, task_of
from mobiledeploy.models.references import load
from mobiledeploy.models.trained import Description
from mobiledeploy.models.training.dataset import Dataset
from mobiledeploy.models.training.loop import Plan
from mobiledeploy.models.training.objectives import distillation, objective_for
from mobiledeploy.models.training.objectives.objective import Objective
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.parallel import in_order
from mobiledeploy.source import SourceModel
from mobiledeploy.truth import list_truth, truth_names
from mobiledeploy.truth.classes import check_classes

_BEYOND = "Correct the label, or name all classes with --class-names"

Images = tuple[LabelledImage[Any], ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Network:
    """What is to be trained.

    Attributes:
        reference: as in ``models.load``.
        weights: a state dict to begin with; None: untrained.
        width, resolution: as in ``models.load``.
        task: in place of the network's own.
        rule: gives the preprocessing of the network that was made, in place of its own.
    """

    reference: str
    weights: Path | None = None
    width: float = 1.0
    resolution: int | None = None
    task: Task | None = None
    rule: Callable[[SourceModel], Preprocessing] | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Where the images are.

    Attributes:
        folder, labels: of the training images, as in ``truth.list_truth``; a teacher needs no labels.
        validation, validation_labels: those that the network is judged by.
        share: of the training images that are kept apart for it where there are no others.
        class_names: of the outputs; empty: what the data calls them.
    """

    folder: Path
    labels: Path | None = None
    validation: Path | None = None
    validation_labels: Path | None = None
    share: float = 0.1
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model whose outputs take the place of labels; see ``models.load``."""

    reference: str
    weights: Path | str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training that can begin.

    Attributes:
        plan: what it is made of.
        identity: all that its result depends on.
    """

    plan: Plan
    identity: dict[str, Any]


def prepare(
    network: Network,
    data: Data,
    settings: Settings,
    *,
    teacher: Teacher | None = None,
    device: torch.device,
    workers: int,
) -> Prepared:
    """Read what there is, make the network, and see that they fit.

    Args:
        network, data, settings: what, on what and how.
        teacher: that takes the place of labels.
        device: that the teacher computes on.
        workers: threads that decode.

    Raises:
        InputError: the network, the labels, the teacher and the images do not go together.
        UnsupportedError: a task that there is no training for.
    """
    tutor = None if teacher is None else load(teacher.reference, weights=teacher.weights)
    if tutor:
        source, training, validation = _to_distil(network, data, settings, tutor)
        objective = distillation(source, tutor.module.to(device), settings)
    else:
        source, training, validation = _to_label(network, data, settings)
        objective = objective_for(source, settings)
    if validation is None:
        training, validation = _kept_apart(training, data.share, settings.seed)
    if len(training) < 2:
        raise InputError(
            f"{len(training)} images are left for training",
            where=str(data.folder),
            hint="Give more, or a smaller --validation-share",
        )
    rules = _rules(source, tutor)
    make = partial(_dataset, rules=rules, objective=objective, workers=workers)
    size = rules[0].height
    description = Description(network.reference, network.width, size)
    groups = None
    if source.task == "embedding" and not tutor:
        groups = [image.label for image in training]
    plan = Plan(
        source,
        description,
        objective,
        make(training),
        make(validation) if validation else None,
        groups,
        settings,
    )
    return Prepared(plan, _identity(plan, data, tutor))


def check_images(images: Sequence[LabelledImage[Any]], workers: int, progress: Progress) -> None:
    """Decode every image once, before hours are spent.

    Raises:
        InputError: some cannot be read; says how many and which is the first.
    """
    broken: list[InputError] = []
    for done, error in enumerate(in_order(_problem, images, workers), 1):
        if error:
            broken.append(error)
        progress(done, len(images))
    if broken:
        first = broken[0]
        raise InputError(
            f"{len(broken)} of {len(images)} images cannot be read, the first: {first.what}",
            where=first.where,
            hint="Remove or mend them, and what the labels say of them",
        )


def _problem(image: LabelledImage[Any]) -> InputError | None:
    try:
        load_image(image.path)
    except InputError as error:
        return error
    return None


def _to_label(network: Network, data: Data, settings: Settings) -> tuple[SourceModel, Images, Images | None]:
    """The network, and images with what it should say of them."""
    task = network.task or task_of(network.reference)
    made = None
    if task is None:
        made = _make(network, settings, None, ())
        task = made.task
    names = data.class_names or truth_names(task, data.folder, data.labels)
    training = list_truth(task, data.folder, data.labels, class_names=names)
    count = _outputs(task, names, training, data)
    source = made or _make(network, settings, count, names)
    if made:
        source = replace(made, labels=names or made.labels)
    _check_outputs(source, count)
    known = source.labels if task != "embedding" else ()
    validation = None
    if data.validation:
        validation = list_truth(
            task, data.validation, data.validation_labels, class_names=known, classes=count
        )
        if task == "image-classification" and count is not None:
            check_classes(validation, count, data.validation, _BEYOND)
    return source, training, validation


def _to_distil(
    network: Network, data: Data, settings: Settings, tutor: SourceModel
) -> tuple[SourceModel, Images, Images | None]:
    """The network, made after its teacher, and images without labels."""
    task = network.task or task_of(network.reference) or tutor.task
    if tutor.task not in {task, "other"}:
        raise InputError(
            f"the teacher is for {tutor.task}, the model for {task}",
            where=tutor.provenance.model,
            hint="Take a teacher of the same task",
        )
    said = _shape(tutor)
    source = _make(network, settings, said[-1], data.class_names or tutor.labels)
    if _shape(source) != said:
        ours, theirs = ("x".join(map(str, shape)) for shape in (_shape(source), said))
        raise InputError(
            f"the teacher's outputs are {theirs}, the model's {ours}",
            where=tutor.provenance.model,
            hint="Take a teacher with as many outputs as the model",
        )
    validation = _unlabelled(data.validation) if data.validation else None
    return source, _unlabelled(data.folder), validation


def _make(network: Network, settings: Settings, outputs: int | None, names: tuple[str, ...]) -> SourceModel:
    source = fresh(
        network.reference,
        outputs=outputs,
        labels=names,
        weights=network.weights,
        width=network.width,
        resolution=network.resolution,
        seed=settings.seed,
    )
    if network.task:
        source = replace(source, task=network.task)
    if network.rule:
        source = replace(source, preprocessing=network.rule(source))
    return source


def _outputs(task: Task, names: tuple[str, ...], images: Images, data: Data) -> int | None:
    """How many the data asks for; None: as many as the network has."""
    if task == "multi-label-classification":
        return len(images[0].label)
    if task == "object-detection":
        return len(names)
    if task == "geolocation":
        return len(data.class_names) or None
    if task != "image-classification":
        return None
    found = {image.label for image in images}
    if len(found) < 2:
        raise InputError(
            "all images are of one class",
            where=str(data.labels or data.folder),
            hint="Give one folder per class, or labels of at least two",
        )
    count = len(names) or max(found) + 1
    check_classes(images, count, data.labels or data.folder, _BEYOND)
    if missing := sorted(set(range(count)) - found):
        raise InputError(
            f"no image is of class {names[missing[0]] if names else missing[0]}",
            where=str(data.labels or data.folder),
            hint="Classes count from 0 without gaps; name them with --class-names",
        )
    return count


def _check_outputs(source: SourceModel, count: int | None) -> None:
    if count is None or source.task == "object-detection":
        return
    shape = _shape(source)
    if shape[1:] != (count,):
        raise InputError(
            f"the model's outputs are {'x'.join(map(str, shape))}, the data has {count} classes",
            where=source.provenance.model,
            hint="Take a model of the zoo, or make yours with as many outputs",
        )


def _shape(source: SourceModel) -> tuple[int, ...]:
    """Of what the model gives for one image."""
    with torch.inference_mode():
        given = source.module.eval()(*source.example_input)
    if not isinstance(given, torch.Tensor):
        raise InputError(
            "the model's outputs are several",
            where=source.provenance.model,
            hint="Labels and teachers are for models with one output, or detectors of the zoo",
        )
    return tuple(given.shape)


def _unlabelled(folder: Path) -> Images:
    return tuple(
        LabelledImage(path, None, path.relative_to(folder).as_posix()) for path in find_images(folder)
    )


def _kept_apart(images: Images, share: float, seed: int) -> tuple[Images, Images | None]:
    """Some images for validation, drawn by the seed; both parts in the order of all."""
    count = int(len(images) * share)
    if not count:
        return images, None
    chosen = set(np.random.default_rng(seed).permutation(len(images))[:count].tolist())
    rest = tuple(image for place, image in enumerate(images) if place not in chosen)
    return rest, tuple(image for place, image in enumerate(images) if place in chosen)


def _rules(source: SourceModel, tutor: SourceModel | None) -> tuple[Preprocessing, ...]:
    rules = []
    for model in filter(None, (source, tutor)):
        if model.preprocessing is None:
            raise InputError(
                "it does not say how an image becomes its input",
                where=model.provenance.model,
                hint="Give --preprocessing, or a SourceModel from the callable",
            )
        rules.append(model.preprocessing)
    return tuple(rules)


def _dataset(
    images: Images, rules: tuple[Preprocessing, ...], objective: Objective, workers: int
) -> Dataset[Any]:
    return Dataset(images, rules, objective.encode, workers)


def _identity(plan: Plan, data: Data, tutor: SourceModel | None) -> dict[str, Any]:
    source = plan.source
    return {
        "model": {
            **asdict(plan.description),
            "labels": list(source.labels),
            "task": source.task,
            "preprocessing": asdict(plan.training.rules[0]),
            "begun_with": source.provenance.weights_sha256 or source.provenance.weights,
        },
        "settings": asdict(plan.settings),
        "training": _digest(plan.training.images, data.labels),
        "validation": plan.validation and _digest(plan.validation.images, data.validation_labels),
        "teacher": tutor and asdict(tutor.provenance),
    }


def _digest(images: Sequence[LabelledImage[Any]], labels: Path | None) -> dict[str, Any]:
    """Images told apart by name, class and size in bytes."""
    digest = hashlib.sha256(sha256(labels).encode() if labels else b"")
    for image in images:
        label = image.label if isinstance(image.label, int) else ""
        row = f"\0{image.name}\0{label}\0{image.path.stat().st_size}"
        digest.update(row.encode(errors="surrogateescape"))
    return {"images": len(images), "sha256": digest.hexdigest()}
