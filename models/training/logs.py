"""Curves for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mobiledeploy.models.training.run_folder import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# A point every so many steps, beside one for each epoch.
_EVERY = 10


class Logs:
    """Event files in a folder; none where TensorBoard is not installed.

    Args:
        folder: of this training.
        step: that it goes on from; later points of an earlier session are left out by TensorBoard.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer: SummaryWriter | None = None
        if installed():
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.close()

    def step(self, step: int, loss: float, rate: float) -> None:
        """A step is done, counted from 1."""
        if step % _EVERY == 0:
            self._add("training/loss", loss, step)
            self._add("training/learning rate", rate, step)

    def epoch(self, step: int, epoch: Epoch, figure: str) -> None:
        """An epoch has ended with a step."""
        self._add("training/loss of the epoch", epoch.loss, step)
        self._add("validation/loss", epoch.validation_loss, step)
        self._add(f"validation/{figure}", epoch.validation, step)
        if self._writer:
            self._writer.flush()

    def _add(self, name: str, value: Any, step: int) -> None:
        if self._writer and value is not None:
            self._writer.add_scalar(name, value, step)


def installed() -> bool:
    """Whether curves are written."""
    from importlib.util import find_spec

    return find_spec("tensorboard") is not None
