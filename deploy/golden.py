"""Golden inputs and outputs, to replay on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.runtimes.session import Session
from mobiledeploy.writing import writing

if TYPE_CHECKING:
    import numpy as np


def write_golden(
    path: Path, session: Session, samples: Sequence[tuple[list[np.ndarray], list[np.ndarray]]]
) -> None:
    """Write what went in and what came out, in the file's own layout and dtypes.

    Args:
        path: ``.npz`` file; per sample n and tensor it holds ``n/input/NAME`` and ``n/output/NAME``,
            n from 000 on.  The same samples give the same bytes.
        session: names the tensors.
        samples: (inputs, outputs) of each run.

    Raises:
        OutputError: the file cannot be written.
    """
    import numpy as np

    arrays = {
        f"{number:03}/{kind}/{spec.name}": array
        for number, sample in enumerate(samples)
        for kind, specs, values in zip(
            ("input", "output"), (session.inputs, session.outputs), sample, strict=True
        )
        for spec, array in zip(specs, values, strict=True)
    }
    with temporary_beside(path) as partial:
        with writing(path), partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        move_into_place(partial, path)
