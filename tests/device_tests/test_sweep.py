"""``mobiledeploy sweep``: the grid, the choice, and a small one from its options to its table and picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from example_runs import latency_run
from lab_hosts import Hosts, local_device

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.sweep.building import Built
from mobiledeploy.deploy.sweep.choice import Row, front, pick
from mobiledeploy.deploy.sweep.grid import Grid, Variant, mobilenets
from mobiledeploy.device_tests.gate.limits import parse_gate
from mobiledeploy.errors import InputError


def row(mult_adds: int, milliseconds: float, size: int, **run: object) -> Row:
    variant = Variant("mobilenet_v1", 1.0, mult_adds, "fp32", "tflite", "random")
    latency = latency_run(milliseconds=milliseconds, **run)  # type: ignore[arg-type]
    latency = replace(latency, model=replace(latency.model, size=size))
    return Row(Built(variant, Path("a.tflite"), mult_adds, 1), latency)


def test_the_preset_is_the_papers_16_twice() -> None:
    variants = mobilenets().variants
    assert len(variants) == len({variant.name for variant in variants}) == 32
    assert variants[0].name == "mobilenet_v1_0.25_128_fp32"
    assert variants[-1].name == "mobilenet_v1_1_224_int8"


def test_weights_by_pattern(tmp_path: Path) -> None:
    for name in ("v1_0.5_224.pth", "v1_1.0_224.pth", "shared.pth"):
        (tmp_path / name).touch()
    grid = Grid("mobilenet_v1", (1.0, 0.5), (224,), weights=f"{tmp_path}/v1_{{width}}_{{resolution}}.pth")
    assert [Path(item.weights).name for item in grid.variants] == ["v1_0.5_224.pth", "v1_1.0_224.pth"]
    one = Grid("mobilenet_v1", (0.5,), (128, 224), weights=f"{tmp_path}/shared.pth")
    assert {Path(item.weights).name for item in one.variants} == {"shared.pth"}


@pytest.mark.parametrize(
    ("pattern", "widths", "what"),
    [
        ("shared.pth", (0.5, 1.0), "one file of weights for several widths"),
        ("v1_{width}.pth", (), "nothing to put there"),
        ("v1_{depth}.pth", (1.0,), "there is no {depth}"),
        ("v1_{width.pth", (1.0,), "this is no pattern"),
        ("v1_{width}.pth", (1.0,), "there are no such weights"),
    ],
)
def test_patterns_that_do_not_fit(pattern: str, widths: tuple[float, ...], what: str) -> None:
    with pytest.raises(InputError, match=what):
        assert Grid("mobilenet_v1", widths, weights=pattern).variants


def test_the_front_and_the_pick() -> None:
    small, middle, large = row(10, 1.0, 100), row(20, 2.0, 200), row(30, 3.0, 300)
    slow, elsewhere = row(20, 2.5, 200), row(5, 9.0, 900, device="adb:other")
    rows = (small, middle, large, slow, elsewhere)
    assert front(rows) == (small, middle, large, elsewhere)
    assert pick(rows, [parse_gate("max-median", "2.2ms")]) is middle
    assert pick(rows, [parse_gate("max-size", "150B"), parse_gate("max-p90", "5ms")]) is small
    assert pick(rows, [parse_gate("max-memory", "1kB")]) is None


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = main(["sweep", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--width", "0"), 2),
        (("--precision", "int7"), 2),
        (("--preset", "mobilenet"), 2),
        (("--preset", "mobilenets", "--width", "1"), 2),
        (("--labels", "x.csv"), 2),
        (("--max-p90", "15"), 3),
        (("--images", "photos"), 3),
        (("--plot", "x.gif"), 3),
        (("--weights", "nothing.pth", "--precision", "int8"), 3),
    ],
)
def test_options_that_mean_nothing(
    arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    got, answer = ask(capsys, *arguments)
    assert got == code
    assert "error" in answer


QUICK = ("--width", "0.25", "--resolution", "32,64", "--precision", "fp32,int8")
QUICK = (*QUICK, "--launches", "1", "--seconds", "0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine as the device ``here``, and a current folder."""
    monkeypatch.chdir(tmp_path)
    text = f'[devices.here]\nreference = "local"\nfolder = "{tmp_path / "work"}"\n'
    (tmp_path / "devices.toml").write_text(text)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_small_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = (*QUICK, "--device", "here", "--plot", "sweep.svg")
    code, found = ask(capsys, *quick, "--max-size", "1MB", "--label", "grid")
    assert code == 0
    rows = found["rows"]
    assert isinstance(rows, list)
    assert [Path(row["file"]).name for row in rows] == [
        f"mobilenet_v1_0.25_{size}_{precision}.tflite" for size in (32, 64) for precision in ("fp32", "int8")
    ]
    assert rows[2]["mult_adds"] == rows[3]["mult_adds"] > rows[0]["mult_adds"]
    assert rows[3]["size"] < rows[2]["size"] / 2
    assert found["pick"] in (rows[1], rows[3])
    assert found["pick"]["resolution"] == 64  # type: ignore[index]
    assert len(found["history"]["ids"]) == 4  # type: ignore[index]
    picture = (tmp_path / "sweep.svg").read_text()
    assert "64 x 64, int8" in picture
    assert "million mult-adds" in picture
    code, found = ask(capsys, *quick, "--max-size", "1kB")
    assert (code, found["pick"]) == (9, None)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.timeout(900)
def test_two_hosts_of_a_lab_give_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The 32 points of the preset's grid, smaller: converted by the hosts, measured on their devices."""
    grid = ("--width", "0.1,0.15,0.2,0.25", "--resolution", "32,40,48,56", "--precision", "fp32,fp16")
    grid = (*grid, "--launches", "1", "--seconds", "0")
    hosts = Hosts(tmp_path)
    try:
        hosts.start_scheduler("--listen", "tcp://127.0.0.1:0")
        for number in (1, 2):
            board = local_device(f"board-{number}", tmp_path, "board")
            hosts.start_host(f"lab{number}", board, "--cores", "1")
        assert main(["lab", "status", "--scheduler", hosts.address, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["cores"] == {"lab1": 1, "lab2": 1}
        where = ("--device", "board-1", "--device", "board-2", "--scheduler", hosts.address)
        assert main(["sweep", *grid, *where, "--json"]) == 0
        said = capsys.readouterr()
        assert "1 cores of lab1, 1 cores of lab2" in said.err
        there = json.loads(said.out)
    finally:
        hosts.end()
    code, alone = ask(capsys, *grid, "--device", "here")
    assert code == 0
    assert len(table(alone, "here")) == 32
    assert table(there, "board-1") == table(there, "board-2") == table(alone, "here")


def table(found: dict[str, object], device: str) -> list[dict[str, object]]:
    """All of the rows of a device that is no measurement."""
    rows = found["rows"]
    assert isinstance(rows, list)
    kept = (
        "width",
        "resolution",
        "precision",
        "target",
        "sha256",
        "mult_adds",
        "parameters",
        "size",
        "threads",
    )
    return [{name: row[name] for name in kept} for row in rows if row["device"] == device]
