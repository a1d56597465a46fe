"""Outputs that a runner packed into one file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.runtimes.runner.report import Report

if TYPE_CHECKING:
    import numpy as np


def split_outputs(data: bytes, report: Report, count: int, device: str) -> list[list[np.ndarray]]:
    """One list of arrays for each item, in the order of the file's outputs.

    Args:
        data: content of the file.
        report: of the launch that wrote it.
        count: items that it was given.
        device: its name, for messages.

    Raises:
        DeviceError: the file is not what the runner says that it wrote.
    """
    import numpy as np

    size = sum(tensor.bytes for tensor in report.outputs)
    if (report.items, len(data)) != (count, count * size) or hashlib.sha256(
        data
    ).hexdigest() != report.digest:
        raise DeviceError(
            f"{report.items} outputs of {count} arrived, {len(data)} bytes instead of {count * size}, "
            "or others than the runner computed",
            where=device,
            hint="Try again; if it repeats, check the device's storage",
        )
    items = []
    for begin in range(0, count * size, size):
        tensors, place = [], begin
        for tensor in report.outputs:
            part = data[place : place + tensor.bytes]
            tensors.append(np.frombuffer(part, tensor.dtype).reshape(tensor.shape))
            place += tensor.bytes
        items.append(tensors)
    return items
