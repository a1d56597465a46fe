"""Training and distillation as one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Task
from mobiledeploy.deploy.sources import path_of, read_names, rule_of
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from mobiledeploy.models.training.run_folder import Epoch
    from mobiledeploy.models.training.settings import Settings
    from mobiledeploy.models.training.train import TrainingResult


def train(
    model: str,
    data: str | Path,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    validation: str | Path | None = None,
    validation_labels: str | Path | None = None,
    validation_share: float = 0.1,
    class_names: str | Path | None = None,
    teacher: str | None = None,
    teacher_weights: str | Path | None = None,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    task: Task | None = None,
    preprocessing: str | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    workers: int | None = None,
    checked: Callable[[int, int], None] = lambda _done, _total: None,
    step: Callable[[int, int], None] = lambda _done, _total: None,
    said: Callable[[str], None] = lambda _line: None,
) -> TrainingResult:
    """Train a network, or go on with a training that was interrupted.

    Started by ``torchrun``, several processes train together.

    Args:
        model: zoo name, ``package.module:callable``, ``timm:NAME`` or ``torchvision:NAME``.
        data: one folder per class, or any folder with ``labels``; with a teacher any folder of images.
        output: folder of the run; the same call goes on there, another one is refused.
        labels: what ``mobiledeploy.truth`` reads for the model's task.
        validation, validation_labels: images that the model is judged by.
        validation_share: without them, the share of the images that is kept apart.
        class_names: text file, the name of one output a line.
        teacher, teacher_weights: a model whose outputs take the place of labels.
        weights: state dict to begin with; a head of another size begins anew.
        width, resolution: of a zoo model.
        task: in place of the model's own.
        preprocessing: in place of the model's own: a preset's name, or a JSON object.
        settings: how; the paper's recipe if left out.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.
        workers: threads that decode images; None: one per core.
        checked: called as ``checked(done, total)`` while each image is read once, before the first epoch.
        step: called as ``step(done, total)`` after each step.
        said: called with a line after each epoch.

    Returns:
        What the training came to; ``mobiledeploy.convert(str(trained.model))`` goes on from there.

    Raises:
        InputError: something does not fit, or the folder holds another training; nothing is written.
        UnsupportedError: a task that there is no training for.
        EnvironmentProblem: torch is not installed, or there is no such device.
        OutputError: the folder cannot be written.
    """
    with needs("torch"):
        from mobiledeploy.models.training.preparation import Data, Network, Teacher
        from mobiledeploy.models.training.settings import Settings
        from mobiledeploy.models.training.train import train as run
    rule = None if preprocessing is None else partial(rule_of, preprocessing)
    return run(
        Network(model, path_of(weights), width or 1.0, resolution, task, rule),
        Data(
            Path(data),
            path_of(labels),
            path_of(validation),
            path_of(validation_labels),
            validation_share,
            read_names(Path(class_names)) if class_names else (),
        ),
        settings or Settings(),
        Path(output),
        teacher=None if teacher is None else Teacher(teacher, teacher_weights),
        device=device,
        workers=workers,
        observer=_Observer(step, said),
        checked=checked,
    )


@dataclass(frozen=True, slots=True)
class _Observer:
    """Says what the loop tells."""

    _step: Callable[[int, int], None]
    _said: Callable[[str], None]

    def step(self, done: int, total: int) -> None:
        self._step(done, total)

    def epoch(self, epoch: Epoch, total: int, figure: str) -> None:
        parts = [f"epoch {epoch.epoch} of {total}: loss {epoch.loss:.4g}"]
        if epoch.validation_loss is not None:
            parts.append(f"validation loss {epoch.validation_loss:.4g}")
        if epoch.validation is not None:
            parts.append(f"{figure} {100 * epoch.validation:.1f}%")
        self._said(", ".join(parts))
