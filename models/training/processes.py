"""The processes of one training: this one alone, or those that ``torchrun`` started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from mobiledeploy.errors import EnvironmentProblem, InputError


@dataclass(frozen=True, slots=True)
class Processes:
    """One of several processes that train together.

    Attributes:
        rank: of this one, from 0.
        count: of all.
        device: that this one computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def share(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all processes."""
        if self.count == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def total(self, values: list[float]) -> list[float]:
        """Sums over all processes."""
        if self.count == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process among those of the launcher, or alone.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or one like ``cuda:1``.

    Raises:
        EnvironmentProblem: there is no such device here.
        InputError: the word names none, or one for all of several processes.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _device(device, count, int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, chosen)
    finally:
        distributed.destroy_process_group()


def _device(name: str, count: int, place: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"there is no device {name!r}", where="--device", hint="Give cpu, cuda or cuda:NUMBER"
        ) from error
    if device.type == "cuda":
        if count > 1 and device.index is not None:
            raise InputError(
                f"{count} processes cannot share {name}", where="--device", hint="Give cuda: one for each"
            )
        index = place if device.index is None else device.index
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            raise EnvironmentProblem(
                f"torch sees {torch.cuda.device_count()} CUDA devices here",
                where=name,
                hint="Give --device cpu, or start fewer processes",
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
        # A training that was killed ends as one that was not.
        torch.backends.cudnn.deterministic = True
    return device
