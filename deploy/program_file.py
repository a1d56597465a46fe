"""What files are written from, and compared with, in files: for a process of another time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import TARGETS, Contract, Target
from mobiledeploy.deploy.preparation import Prepared
from mobiledeploy.deploy.samples import Reference
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    import numpy as np
    from torch.export import ExportedProgram

# One folder holds these; the same program gives the same bytes.
PROGRAM, CONTRACTS, REFERENCE = "program.pt2", "contracts.json", "reference.npz"


def write_prepared(prepared: Prepared, folder: Path) -> None:
    """Write the program, the contract of each target and the reference.

    Args:
        prepared: with a reference.
        folder: there.

    Raises:
        OSError: they cannot be written.
    """
    import torch

    torch.export.save(prepared.program, folder / PROGRAM)
    contracts = {target: json.loads(prepared.contract(target).to_json()) for target in TARGETS}
    text = json.dumps(contracts, sort_keys=True, ensure_ascii=False)
    (folder / CONTRACTS).write_text(text, encoding="utf-8")
    if prepared.reference is not None:
        _write_reference(prepared.reference, folder / REFERENCE)


def read_program(file: Path) -> ExportedProgram:
    """A program of ``write_prepared``.

    Raises:
        InputError: it is damaged, or holds more than a program and its weights.
    """
    with needs("torch"):
        # Registers the operators of quantized programs; torchao, which made them, takes longer to import.
        import torch.ao.quantization.fx._decomposed  # noqa: F401

        from mobiledeploy.models import programs
    return programs.read_program(file)


def read_contract(file: Path, target: Target) -> Contract:
    """The contract of one target.

    Raises:
        InputError: it is damaged.
    """
    contracts: Mapping[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return Contract.from_json(json.dumps(contracts[target]), where=str(file))


def read_reference(file: Path) -> Reference:
    """What a source computes.

    Raises:
        InputError: it is damaged.
    """
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as stored:
            inputs, outputs = _tuples(stored, "input"), _tuples(stored, "output")
            images = int(stored["images"])
            tolerances = tuple(map(float, stored["tolerances"])) if "tolerances" in stored else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot be read ({error})", where=str(file), hint="Make it again") from error
    return Reference(inputs, outputs, images, tolerances)


def _write_reference(reference: Reference, file: Path) -> None:
    import numpy as np

    arrays = {
        f"{kind}/{number:04}/{place:04}": array
        for kind, rows in (("input", reference.samples), ("output", reference.outputs))
        for number, row in enumerate(rows)
        for place, array in enumerate(row)
    }
    arrays["images"] = np.asarray(reference.images)
    if reference.tolerances is not None:
        arrays["tolerances"] = np.asarray(reference.tolerances)
    with file.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _tuples(stored: Mapping[str, np.ndarray], kind: str) -> tuple[tuple[np.ndarray, ...], ...]:
    rows: dict[str, list[np.ndarray]] = {}
    for name in sorted(name for name in stored if name.startswith(f"{kind}/")):
        rows.setdefault(name.split("/")[1], []).append(stored[name])
    return tuple(tuple(row) for row in rows.values())
