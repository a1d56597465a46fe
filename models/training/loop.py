"""The loop: steps, validation, and what is kept so that a killed training ends as an undisturbed one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from mobiledeploy.errors import InputError
from mobiledeploy.models.trained import Description, save_trained
from mobiledeploy.models.training.averaging import Average
from mobiledeploy.models.training.dataset import Batch, Dataset, Sample
from mobiledeploy.models.training.logs import Logs
from mobiledeploy.models.training.objectives.objective import Objective
from mobiledeploy.models.training.optimizer import make_optimizer, rate_at
from mobiledeploy.models.training.processes import Processes
from mobiledeploy.models.training.run_folder import Epoch, RunFolder, best_of
from mobiledeploy.models.training.settings import Settings
from mobiledeploy.source import SourceModel
from mobiledeploy.writing import writing

# Seconds after which the state is kept within an epoch, too.
KEEP_EVERY = 300.0


class Observer(Protocol):
    """Who is told how the training goes."""

    def step(self, done: int, total: int) -> None:
        """Steps of all epochs."""

    def epoch(self, epoch: Epoch, total: int, figure: str) -> None:
        """One is finished, of so many; the figure is what its share of right images is called."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a training is made of.

    Attributes:
        source: the network as it begins; its module is trained in place.
        description: how it is built again.
        objective: what it is trained for.
        training, validation: images; None: none are kept apart.
        groups: of each training image, where a batch is to hold several of a group.
        settings: how.
    """

    source: SourceModel
    description: Description
    objective: Objective
    training: Dataset[Any]
    validation: Dataset[Any] | None
    groups: Sequence[int] | None
    settings: Settings

    @property
    def batch_size(self) -> int:
        """Images of a step over all processes."""
        return min(self.settings.batch_size, len(self.training.images))

    @property
    def steps(self) -> int:
        """Of one epoch; images that fill no batch are left out, other ones each time."""
        return len(self.training.images) // self.batch_size


@dataclass
class _Progress:
    """What a state holds beside tensors; sums are of the epoch that is under way."""

    step: int = 0
    loss: float = 0.0
    epochs: int = 0


class Training:
    """A training in its folder.

    Args:
        plan: what is trained, on what and how.
        folder: of the run; it holds this training, begun or not.
        processes: that share the work.
        observer: told how it goes; of the first process alone.
    """

    def __init__(self, plan: Plan, folder: RunFolder, processes: Processes, observer: Observer) -> None:
        self._plan, self._folder, self._processes, self._observer = plan, folder, processes, observer
        settings, device = plan.settings, processes.device
        self._module = plan.source.module.to(device)
        self._average = Average(self._module, settings.ema) if settings.ema else None
        self._optimizer = make_optimizer(self._module, settings)
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.arithmetic == "fp16")
        self._progress = _Progress()
        self._epochs: list[Epoch] = []
        self._resume()
        self._shared = processes.share(_Answering(self._module, plan.objective))

    @property
    def epochs_done(self) -> int:
        """Epochs that are finished."""
        return len(self._epochs)

    def run(self) -> list[Epoch]:
        """Train to the end.

        Returns:
            What each epoch came to.

        Raises:
            InputError: an image cannot be read, or the loss is no number.
            OutputError: the folder cannot be written.
        """
        plan, progress = self._plan, self._progress
        total = plan.settings.epochs * plan.steps
        first = self._processes.first
        with Logs(self._folder.logs, progress.step) if first else nullcontext() as logs:
            begun = kept = time.monotonic()
            for batch, samples in self._batches():
                loss, rate = self._step(batch, samples)
                progress.step, progress.loss = progress.step + 1, progress.loss + loss
                if logs:
                    logs.step(progress.step, loss, rate)
                    self._observer.step(progress.step, total)
                now = time.monotonic()
                if progress.step % plan.steps == 0:
                    self._end_epoch(rate, now - begun, logs)
                    begun = kept = time.monotonic()
                elif now - kept > KEEP_EVERY:
                    self._keep()
                    kept = now
        self._finish()
        return self._epochs

    def _batches(self) -> Iterator[tuple[Batch, list[Sample]]]:
        """This process's part of every step that is left."""
        plan, size = self._plan, self._plan.batch_size
        rank, count = self._processes.rank, self._processes.count
        epoch, begun = divmod(self._progress.step, plan.steps)
        for number in range(epoch, plan.settings.epochs):
            order = plan.training.order(plan.settings, number, plan.groups)
            batches = [
                Batch(number, tuple(order[step * size : (step + 1) * size][rank::count].tolist()))
                for step in range(begun, plan.steps)
            ]
            begun = 0
            yield from zip(batches, plan.training.training(batches, plan.settings), strict=True)

    def _step(self, batch: Batch, samples: list[Sample]) -> tuple[float, float]:
        """One step; its loss and learning rate."""
        plan, step = self._plan, self._progress.step
        settings = plan.settings
        rate = rate_at(settings, (step + 1) / plan.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # What a dropout draws depends on the step alone.
        torch.manual_seed(_seed(settings.seed, step, self._processes.rank))
        self._shared.train()
        inputs, targets = self._ask(plan.training, samples)
        with self._autocast():
            loss = plan.objective.loss(_reals(self._shared(inputs, targets)), targets)
        value = self._processes.total([loss.item()])[0] / self._processes.count
        if not np.isfinite(value):
            raise InputError(
                f"the loss is {value} in epoch {batch.epoch + 1}, step {step % plan.steps + 1}",
                where=str(self._folder.path),
                hint=f"Train with a learning rate below {settings.learning_rate:g}, in another folder",
            )
        self._optimizer.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        if settings.clip:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._module.parameters(), settings.clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average:
            self._average.update(self._module, step)
        return value, rate

    def _end_epoch(self, rate: float, seconds: float, logs: Logs | None) -> None:
        progress, plan = self._progress, self._plan
        loss, progress.loss = progress.loss / plan.steps, 0.0
        cost, share = self._validate(plan.validation) if plan.validation else (None, None)
        epoch = Epoch(progress.step // plan.steps, loss, cost, share, rate, seconds)
        self._epochs.append(epoch)
        progress.epochs = len(self._epochs)
        if self._processes.first:
            if best_of(self._epochs) is epoch:
                self._save(self._folder.best)
            self._folder.write_epochs(self._epochs)
            self._keep()
            self._observer.epoch(epoch, plan.settings.epochs, plan.objective.figure)
        if logs:
            logs.epoch(progress.step, epoch, plan.objective.figure)

    @torch.no_grad()
    def _validate(self, images: Dataset[Any]) -> tuple[float, float | None]:
        """Loss and share of right ones, on what the network will be shown on the device."""
        plan, processes = self._plan, self._processes
        # What is drawn is the same for each epoch.
        torch.manual_seed(plan.settings.seed)
        module = self._kept_module().eval()
        sums = [0.0, 0.0, 0.0]
        for samples in images.deployed(
            range(processes.rank, len(images.images), processes.count), plan.batch_size
        ):
            inputs, targets = self._ask(images, samples)
            outputs = plan.objective.answer(module, inputs, targets)
            sums[0] += plan.objective.loss(outputs, targets).item() * len(samples)
            sums[1] += plan.objective.right(outputs, targets) if plan.objective.figure else 0
            sums[2] += len(samples)
        loss, right, count = processes.total(sums)
        return loss / count, right / count if plan.objective.figure else None

    def _ask(self, images: Dataset[Any], samples: list[Sample]) -> tuple[torch.Tensor, Any]:
        """What the network is shown of some images, and what it should say."""
        places = range(len(images.rules))
        inputs = [images.inputs(samples, place, self._processes.device) for place in places]
        return inputs[0], self._plan.objective.gather([sample.target for sample in samples], inputs)

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self._plan.settings.arithmetic)
        return torch.autocast(self._processes.device.type, kind) if kind else nullcontext()

    def _kept_module(self) -> nn.Module:
        return self._average.module if self._average else self._module

    def _keep(self) -> None:
        if not self._processes.first:
            return
        progress = self._progress
        self._folder.write_state(
            {
                "module": self._module.state_dict(),
                "average": self._average.module.state_dict() if self._average else None,
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "progress": [progress.step, progress.loss, progress.epochs],
            }
        )

    def _resume(self) -> None:
        state = self._folder.read_state()
        if state is None:
            return
        try:
            self._module.load_state_dict(state["module"])
            if self._average:
                self._average.module.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
            self._progress = _Progress(*state["progress"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"the state of the training does not fit it ({str(error).splitlines()[0]})",
                where=str(self._folder.path),
                hint="Choose another folder with -o",
            ) from error
        # An epoch that was written and whose state was not is done again.
        self._epochs = self._folder.epochs()[: self._progress.epochs]

    def _finish(self) -> None:
        if self._processes.first:
            self._save(self._folder.last)
        self._processes.wait()

    def _save(self, path: Path) -> None:
        with writing(path):
            save_trained(path, self._kept_module().state_dict(), self._plan.source, self._plan.description)


class _Answering(nn.Module):
    """A network that computes what its objective asks for: processes share what a forward pass computes."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self._answer = network, objective.answer

    def forward(self, inputs: torch.Tensor, targets: Any) -> Any:
        """See ``Objective.answer``."""
        return self._answer(self.network, inputs, targets)


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def _reals(outputs: Any) -> Any:
    """The same in float32, for losses that need it."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    return {name: value.float() for name, value in outputs.items()}
