"""The folder of one training: what it is, how far it is, and what came out."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.errors import InputError
from mobiledeploy.writing import write_whole, writing

BEST, LAST = "model.safetensors", "last.safetensors"
_IDENTITY, _EPOCHS, _STATE, _LOGS = "training.json", "epochs.jsonl", "state.pt", "tensorboard"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        epoch: counted from 1.
        loss: mean of the training steps.
        validation_loss: on images kept apart; None: there are none.
        validation: share of these images that were right, 0..1; None: none are, or there is no such share.
        learning_rate: of the last step.
        seconds: since the epoch before, in the session that ended it.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation: float | None
    learning_rate: float
    seconds: float

    @property
    def goodness(self) -> tuple[float, ...]:
        """Higher is better; of epochs that were judged by nothing, the later one."""
        if self.validation_loss is None:
            return (self.epoch,)
        share = () if self.validation is None else (self.validation,)
        return (*share, -self.validation_loss)


def best_of(epochs: Sequence[Epoch]) -> Epoch:
    """The first of those that did best."""
    return max(epochs, key=lambda epoch: epoch.goodness)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Its files; each is replaced as a whole."""

    path: Path

    @property
    def best(self) -> Path:
        """The checkpoint that did best on the validation images; of the last epoch where there are none."""
        return self.path / BEST

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch; there when the training is finished."""
        return self.path / LAST

    @property
    def logs(self) -> Path:
        """For TensorBoard."""
        return self.path / _LOGS

    def begun_as(self, identity: Mapping[str, Any]) -> bool:
        """Whether this very training was begun here before.

        Args:
            identity: all that its result depends on: nested data for JSON.

        Raises:
            InputError: the folder holds another training, or other files.
        """
        file = self.path / _IDENTITY
        if not file.exists():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise InputError(
                    "it is no folder of a training and not empty",
                    where=str(self.path),
                    hint="Choose another with -o",
                )
            return False
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"what training this is cannot be read ({error})",
                where=str(file),
                hint="Choose another folder with -o",
            ) from error
        differ = _differences(there, json.loads(json.dumps(identity)))
        if differ:
            more = f" and {len(differ) - 1} more" if len(differ) > 1 else ""
            raise InputError(
                f"another training was begun here: {differ[0]}{more}",
                where=str(self.path),
                hint="Go on with what it was begun with, or choose another folder with -o",
            )
        return True

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Say what training this is.

        Raises:
            OutputError: the folder cannot be written.
        """
        text = json.dumps(identity, indent=2, sort_keys=True, ensure_ascii=False)
        self._write(_IDENTITY, f"{text}\n".encode())

    def read_state(self) -> dict[str, Any] | None:
        """What the training goes on from; None: from the beginning.

        Raises:
            InputError: the file is damaged.
        """
        from mobiledeploy.models.checkpoints import DAMAGE, load_pickle

        file = self.path / _STATE
        if not file.exists():
            return None
        try:
            state = load_pickle(file)
        except (OSError, *DAMAGE) as error:
            raise InputError(
                "the state of the training is damaged",
                where=str(file),
                hint="Remove it to begin again, or choose another folder with -o",
            ) from error
        if not isinstance(state, dict):
            raise InputError("this is no state of a training", where=str(file), hint="Remove it")
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Keep what the training goes on from.

        Raises:
            OutputError: the folder cannot be written.
        """
        import torch

        stream = io.BytesIO()
        torch.save(dict(state), stream)
        self._write(_STATE, stream.getvalue())

    def epochs(self) -> list[Epoch]:
        """Those that are finished."""
        file = self.path / _EPOCHS
        if not file.exists():
            return []
        return [Epoch(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]

    def write_epochs(self, epochs: list[Epoch]) -> None:
        """Keep what the epochs came to, a JSON object a line.

        Raises:
            OutputError: the folder cannot be written.
        """
        lines = [json.dumps(asdict(epoch), sort_keys=True) + "\n" for epoch in epochs]
        self._write(_EPOCHS, "".join(lines).encode())

    def _write(self, name: str, content: bytes) -> None:
        with writing(self.path / name):
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / name, content)


def _differences(there: Any, here: Any, place: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        names = sorted(there.keys() | here.keys())
        return [
            line
            for name in names
            for line in _differences(there.get(name), here.get(name), f"{place}.{name}".lstrip("."))
        ]
    return [] if there == here else [f"{place} was {there!r} and is {here!r}"]
