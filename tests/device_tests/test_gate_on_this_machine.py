"""Gates with real files on this machine."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.device_tests.gate import Setting, gate, parse_gate
from mobiledeploy.runtimes.formats import read_artifact

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(900)]
IMAGES = 200


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests measure this machine at the same time."""
    text = f'[devices.here]\nreference = "local"\nfolder = "{tmp_path / "device"}"\n'
    (tmp_path / "devices.toml").write_text(text)
    monkeypatch.setenv("MOBILEDEPLOY_HISTORY", str(tmp_path / "history.db"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(data_dir: Path, tmp_path: Path) -> tuple[str, ...]:
    """Some labelled images, as options."""
    source = data_dir / "images" / "imagenet1k_sample_1000"
    with source.with_suffix(".csv").open() as file:
        head, *rows = list(csv.reader(file))
    chosen = rows[:: len(rows) // IMAGES]
    folder, labels = tmp_path / "photos", tmp_path / "photos.csv"
    folder.mkdir()
    column = next(index for index, word in enumerate(rows[0]) if (source / word).is_file())
    for row in chosen:
        (folder / row[column]).symlink_to(source / row[column])
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows([head, *chosen])
    return ("--images", str(folder), "--labels", str(labels))


def damaged(file: Path, target: Path) -> Path:
    """The same file with its largest weights in reverse order."""
    from ai_edge_litert import schema_py_generated as schema

    data = file.read_bytes()
    buffers = schema.ModelT.InitFromPackedBuf(bytearray(data), 0).buffers
    weights = max((bytes(item.data) for item in buffers if item.data is not None), key=len)
    assert data.count(weights) == 1
    target.write_bytes(data.replace(weights, weights[::-1]))
    return target


def test_top1_may_drop_by_so_much(
    v1_files: dict[str, Path],
    data_dir: Path,
    photos: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """int8 keeps a wide limit to its float twin; a file with damaged weights does not."""
    weights = data_dir / "weights" / "mobilenet_v1_0.25_224_keras.pth"
    source = as_source("mobilenet_v1", weights=weights, width=0.25)
    (twin,) = convert_all(source, ("tflite",), name="twin", output=tmp_path / "twin")
    command = ["gate", "--device", "here", "--max-top1-drop", "15", "--json", *photos]
    int8 = v1_files["tflite"]
    assert main([*command, "--candidate", str(int8), "--baseline", str(twin.artifact.path)]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["gates"]
    assert kept["outcome"] == "pass"
    assert kept["count"] == IMAGES
    assert -5 < kept["value"] < 10
    broken = damaged(int8, tmp_path / "broken.tflite")
    assert main([*command, "--candidate", str(broken), "--baseline", str(int8)]) == 9
    (lost,) = json.loads(capsys.readouterr().out)["gates"]
    assert lost["outcome"] == "fail"
    assert lost["low"] > 15


def test_a_busy_machine_is_trouble_and_no_regression(v1_files: dict[str, Path]) -> None:
    """Processes on all cores, and a limit that files which are alike lie on: nothing can be decided."""
    artifact = read_artifact(v1_files["tflite"])
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        limits = [parse_gate("max-regression", "0%")]
        report = gate("here", artifact, limits, baseline=artifact, setting=Setting(time_limit=1))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert report.outcome == "trouble"
    assert "other" in report.gates[0].reason
    assert (report.sessions[0].other_work or 0) > 0.25
