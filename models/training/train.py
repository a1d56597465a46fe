"""A training from its beginning, or from where it was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.models.training.loop import Observer, Training
from mobiledeploy.models.training.preparation import Data, Network, Teacher, check_images, prepare
from mobiledeploy.models.training.processes import joined
from mobiledeploy.models.training.run_folder import Epoch, RunFolder, best_of
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.parallel import usable_cores


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    Attributes:
        model: checkpoint of the epoch that did best on the validation images; of the last one where there
            are none.
        last: checkpoint of the last epoch.
        epochs: what each came to.
        figure: what ``Epoch.validation`` is; empty where there is no such share.
        images: for training and for validation.
        resumed: epochs that were done before.
    """

    model: Path
    last: Path
    epochs: tuple[Epoch, ...]
    figure: str
    images: tuple[int, int]
    resumed: int

    @property
    def best(self) -> Epoch:
        """The epoch that ``model`` is of."""
        return best_of(self.epochs)


def train(
    network: Network,
    data: Data,
    settings: Settings,
    output: Path,
    *,
    teacher: Teacher | None = None,
    device: str = "auto",
    workers: int | None = None,
    observer: Observer,
    checked: Callable[[int, int], None] = lambda _done, _total: None,
) -> TrainingResult:
    """Train a network, or go on with a training that was interrupted.

    A training that was killed and started again ends with the same weights as one that was not, on the
    same machine with as many threads and processes.

    Args:
        network, data, settings: what, on what and how.
        output: folder of the run; the same call goes on there, another one is refused.
        teacher: that takes the place of labels.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: threads that decode images; None: one per core.
        observer: told how it goes.
        checked: called as ``checked(done, total)`` while the images are read once, before the first epoch.

    Raises:
        InputError: something does not fit, or the folder holds another training; nothing is written.
        UnsupportedError: a task that there is no training for.
        EnvironmentProblem: there is no such device here.
        OutputError: the folder cannot be written.
    """
    with joined(device) as processes:
        workers = workers or max(1, usable_cores() // processes.count)
        prepared = prepare(network, data, settings, teacher=teacher, device=processes.device, workers=workers)
        plan, folder = prepared.plan, RunFolder(output)
        if settings.batch_size % processes.count:
            raise InputError(
                f"{settings.batch_size} images a batch cannot be shared by {processes.count} processes",
                where="settings",
                hint="Give a batch_size that is a multiple of their number",
            )
        identity = {**prepared.identity, "processes": processes.count}
        begun = folder.begun_as(identity)
        every = (*plan.training.images, *(plan.validation.images if plan.validation else ()))
        if processes.first and not begun:
            check_images(every, workers, checked)
            folder.begin(identity)
        processes.wait()
        training = Training(plan, folder, processes, observer)
        resumed = training.epochs_done
        epochs = training.run()
    kept_apart = len(plan.validation.images) if plan.validation else 0
    return TrainingResult(
        folder.best,
        folder.last,
        tuple(epochs),
        plan.objective.figure,
        (len(plan.training.images), kept_apart),
        resumed,
    )
