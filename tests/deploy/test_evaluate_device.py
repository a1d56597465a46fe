"""``evaluate --device local``: the same as on the host, resumed where it stopped, mismatches told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.deploy import evaluation
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.evaluation import evaluate, evaluate_device
from mobiledeploy.device_tests import chunk_runs, device_accuracy
from mobiledeploy.device_tests.device_accuracy import Options
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.runtimes.session import Session
from mobiledeploy.source import SourceModel

IMAGES = 30


@pytest.fixture
def place(tiny: SourceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tiny.tflite``, photos and their labels; this machine as ``here``, with a folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    here = f'[devices.here]\nreference = "local"\nfolder = "{tmp_path / "work"}"\n'
    (tmp_path / "devices.toml").write_text(here)
    convert_all(tiny, ("tflite",), name="tiny", output=tmp_path)
    (tmp_path / "photos").mkdir()
    rows = ["file,label"]
    for index in range(IMAGES):
        pixels = np.random.default_rng(index).integers(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index:02}.png")
        rows.append(f"{index:02}.png,{index % 4}")
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    return tmp_path


def arguments(place: Path) -> tuple[Path, Path]:
    return place / "tiny.tflite", place / "photos"


def test_the_same_as_on_the_host(place: Path) -> None:
    here = evaluate(*arguments(place), labels=place / "photos.csv")
    for runner in ("native", "python"):
        there = evaluate_device(
            *arguments(place), "here", labels=place / "photos.csv", options=Options(1, runner=runner)
        )
        assert there.predictions == here.predictions
        assert there.host == HostComparison(here.engine, IMAGES, IMAGES, IMAGES, there.host.signal)  # type: ignore[union-attr]
        assert there.outputs_sha256 is not None
    assert not list((place / "state" / "mobiledeploy" / "evaluations").iterdir())


def test_it_goes_on_where_it_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate_device(*arguments(place), "here", labels=place / "photos.csv")
    launch, images = chunk_runs.launch, [0]
    asked: list[int] = []

    def once(*words: object, **options: object) -> object:
        if len(asked) == 1:
            asked.append(0)
            raise DeviceError("unplugged", where="local")
        asked.append(1)
        return launch(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(chunk_runs, "launch", once)
    with pytest.raises(DeviceError, match="unplugged"):
        evaluate_device(*arguments(place), "here", labels=place / "photos.csv")
    (log,) = (place / "state" / "mobiledeploy" / "evaluations").iterdir()
    # Half a line is what a crash leaves.
    with log.open("a") as file:
        file.write('{"predictions":[{"image":"16')
    monkeypatch.setattr(chunk_runs, "launch", launch)
    again = evaluate_device(
        *arguments(place),
        "here",
        labels=place / "photos.csv",
        progress=lambda done, total: images.append(done),
    )
    assert images[1] == 16
    assert again.predictions == whole.predictions
    assert again.outputs_sha256 == whole.outputs_sha256
    assert again.host == whole.host


def test_a_chunk_that_was_lost_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate_device(*arguments(place), "here", labels=place / "photos.csv")
    launch, left = chunk_runs.launch, [2]

    def losing(*words: object, **options: object) -> object:
        if left[0]:
            left[0] -= 1
            raise DeviceLost("the device was lost", where="local")
        return launch(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(chunk_runs, "launch", losing)
    again = evaluate_device(*arguments(place), "here", labels=place / "photos.csv")
    assert replace(again, seconds=0, engine_seconds=0, facts=None) == replace(
        whole, seconds=0, engine_seconds=0, facts=None
    )
    left[0] = 9
    with pytest.raises(DeviceLost):
        evaluate_device(*arguments(place), "here", labels=place / "photos.csv")


class Wrong:
    """A session whose outputs are not the file's."""

    def __init__(self, session: Session, error: float) -> None:
        self._session, self._error = session, error
        self.engine, self.inputs, self.outputs = session.engine, session.inputs, session.outputs

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            item + np.float32(self._error) * (-1) ** np.arange(item.size)
            for item in self._session.run(inputs)
        ]


def test_another_kernel_is_no_rounding(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, error = evaluation.open_session, [1e-6]
    monkeypatch.setattr(
        evaluation, "open_session", lambda *words, **options: Wrong(opened(*words, **options), error[0])
    )
    command = ["evaluate", *map(str, arguments(place)[:1]), "--images", str(place / "photos")]
    command += ["--labels", str(place / "photos.csv"), "--device", "here"]
    assert main([*command, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sound"] is True
    assert data["host"]["identical"] < IMAGES
    assert len(data["history"]["ids"]) == 1
    error[0] = 1.0
    assert main(command) == 5
    assert "MISMATCH" in capsys.readouterr().out
    assert main([*command, "--no-compare", "--no-store"]) == 0
    error[0] = float("nan")
    capsys.readouterr()
    assert main(command) == 3
    assert "NaN" in capsys.readouterr().err


def test_what_goes_with_a_device_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(place / "tiny.tflite"), "--images", str(place / "photos")]
    command += ["--labels", str(place / "photos.csv")]
    assert main([*command, "--threads", "2"]) == 2
    assert "--device" in capsys.readouterr().err
    with pytest.raises(InputError, match="no outputs"):
        evaluate_device(
            *arguments(place), "here", labels=place / "photos.csv", options=Options(runner="benchmark_model")
        )


def test_not_a_number_on_the_device_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = device_accuracy.split_outputs

    def broken(*words: object) -> list[list[np.ndarray]]:
        return [[item * np.float32("nan") for item in outputs] for outputs in split(*words)]  # type: ignore[arg-type]

    monkeypatch.setattr(device_accuracy, "split_outputs", broken)
    with pytest.raises(VerificationError, match=r"computes NaN for 00.png, this host's LiteRT .* does not"):
        evaluate_device(*arguments(place), "here", labels=place / "photos.csv")
