"""Files written from a program that was kept are the bytes of those written at once."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.preparation import prepare, write_file
from mobiledeploy.deploy.program_file import (
    CONTRACTS,
    PROGRAM,
    REFERENCE,
    read_contract,
    read_program,
    read_reference,
    write_prepared,
)
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.verification import compare
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe
from mobiledeploy.runtimes.formats import FORMATS, open_session, read_artifact
from mobiledeploy.source import SourceModel

QUICK = Recipe(rounding="nearest", equalisation="off")
TFLITE: tuple[Target, ...] = ("tflite",)


@pytest.mark.parametrize(
    ("wanted", "targets"),
    [
        (Wanted("fp32"), TFLITE),
        *(
            pytest.param(wanted, targets, marks=pytest.mark.slow)
            for wanted, targets in (
                (Wanted("fp32", "uint8"), TARGETS),
                (Wanted("fp16"), TARGETS),
                (Wanted("int8"), TARGETS),
                (Wanted("int8", "uint8", "int8"), TFLITE),
                (Wanted("int16x8"), TFLITE),
                (Wanted("int8-dynamic"), ("tflite", "onnx")),
                (Wanted("int8-weights"), TARGETS),
            )
        ),
    ],
    ids=str,
)
def test_the_same_bytes(
    wanted: Wanted, targets: tuple[Target, ...], tiny: SourceModel, photos: Path, tmp_path: Path
) -> None:
    calibration = photos if wanted.has_ranges else None
    recipe = QUICK if wanted.has_ranges else None
    made = prepare(tiny, wanted, calibration=calibration, recipe=recipe, stages=Stages())
    for name in ("kept", "again"):
        (tmp_path / name).mkdir()
        write_prepared(made, tmp_path / name)
    kept = tmp_path / "kept"
    for name in (PROGRAM, CONTRACTS, REFERENCE):
        assert (kept / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    direct = convert_all(
        tiny,
        targets,
        name="net",
        precision=wanted.precision,
        input_dtype=wanted.input_dtype,
        output_dtype=wanted.output_dtype,
        calibration=calibration,
        recipe=recipe,
        output=tmp_path / "direct",
    )
    program, reference = read_program(kept / PROGRAM), read_reference(kept / REFERENCE)
    for target, conversion in zip(targets, direct, strict=True):
        contract = read_contract(kept / CONTRACTS, target)
        path = tmp_path / f"net{FORMATS[target].suffix}"
        write_file(program, contract, target, wanted.precision, path)
        artifact = read_artifact(path)
        assert artifact.sha256 == conversion.artifact.sha256
        assert compare(artifact, open_session(path), reference, expected=contract).passed


def test_a_reference_comes_back(tiny: SourceModel, tmp_path: Path) -> None:
    made = prepare(tiny, Wanted("fp32"), stages=Stages())
    write_prepared(made, tmp_path)
    found, kept = read_reference(tmp_path / REFERENCE), made.reference
    assert kept is not None
    assert (found.images, found.tolerances) == (kept.images, kept.tolerances)
    for ours, theirs in ((found.samples, kept.samples), (found.outputs, kept.outputs)):
        np.testing.assert_equal(ours, theirs)
    (tmp_path / REFERENCE).write_bytes((tmp_path / REFERENCE).read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        read_reference(tmp_path / REFERENCE)


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-pickle",)


def test_nothing_that_is_kept_is_run(
    tiny: SourceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's folder may come from somebody else, with what is kept in it."""
    import torch

    monkeypatch.chdir(tmp_path)
    write_prepared(prepare(tiny, Wanted("fp32"), verify=False, stages=Stages()), tmp_path)
    torch.save(Runs(), "evil.pt")
    with zipfile.ZipFile(PROGRAM) as old, zipfile.ZipFile("evil.pt2", "w") as new:
        for name in old.namelist():
            inputs = name.endswith(".pt") and "sample_inputs" in name
            new.writestr(name, Path("evil.pt").read_bytes() if inputs else old.read(name))
    with pytest.raises(InputError, match="pickled objects"):
        read_program(Path("evil.pt2"))
    # Objects in place of numbers are refused by NumPy.
    with Path(REFERENCE).open("wb") as file:
        np.savez(file, **{"input/0000/0000": np.array([Runs()], dtype=object)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be read"):
        read_reference(Path(REFERENCE))
    assert not Path("made-by-a-pickle").exists()
