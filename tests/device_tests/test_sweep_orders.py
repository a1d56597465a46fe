"""Files of a sweep as orders that travel: what is in them, and what comes back."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tflite_builder import float_dense

from mobiledeploy.deploy.sweep import building, computing
from mobiledeploy.deploy.sweep.grid import Variant
from mobiledeploy.deploy.sweep.orders import Files
from mobiledeploy.device_tests.lab.parcel import pack
from mobiledeploy.errors import EnvironmentProblem, UnsupportedError, VerificationError
from mobiledeploy.layer_cost import Cost

INT8 = Variant("mobilenet_v1", 0.25, 32, "int8", "tflite", "random")


def test_an_order_holds_all_that_it_is_made_from(tmp_path: Path) -> None:
    weights, images = tmp_path / "far" / "v1.pth", tmp_path / "photos"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    (images / "a").mkdir(parents=True)
    for number in range(250):
        Image.fromarray(np.full((2, 2, 3), number, np.uint8)).save(images / "a" / f"{number:03}.png")
    (images / "notes.txt").write_text("x")
    order = building._Packed(images).order(replace(INT8, weights=str(weights)))
    order = pickle.loads(pickle.dumps(order))  # noqa: S301
    assert order.variant.weights == "v1.pth"
    assert order.weights.members == (("", b"weights"),)
    # The images that calibrate, not the whole folder; they are chosen again where they arrive.
    assert len(order.calibration.members) == 100
    from mobiledeploy.deploy.calibration import choose_images

    chosen = choose_images(images)
    arrived = choose_images(order.calibration.unpack(tmp_path / "there"))
    assert [path.read_bytes() for path in arrived] == [path.read_bytes() for path in chosen]
    assert building._Packed("none").order(INT8).calibration == "none"


def test_a_host_with_other_tools_is_refused() -> None:
    order = building._Packed(None).order(INT8)
    other = tuple((name, "0.0" if name == "torch" else version) for name, version in order.tools)
    with pytest.raises(EnvironmentProblem, match=r"a host of the lab has torch .* torch 0\.0"):
        replace(order, tools=other).do()


def test_what_was_rejected_comes_back_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    rejected = tmp_path / "made" / "net.tflite.rejected"
    rejected.write_bytes(float_dense())
    error = VerificationError("it differs", where=str(tmp_path / "made" / "net.tflite"))
    folder = tmp_path / "sweep"
    folder.mkdir()
    files = Files(pack(rejected), error, str(tmp_path / "made"))
    with pytest.raises(VerificationError, match=str(folder / "net.tflite")):
        files.place(folder)
    assert [path.name for path in folder.iterdir()] == ["net.tflite.rejected"]
    assert Files(pack(rejected), None, "").place(folder).read_bytes() == float_dense()


@pytest.mark.parametrize(
    ("model", "scheduler"),
    [
        ("mobilenet_v1", "tcp://lab:1"),
        ("timm:mobilenetv3", "tcp://lab:1"),
        ("net:build", None),
        ("a.pt2", None),
        ("runs/a/model.safetensors", None),
    ],
)
def test_code_of_the_user_stays_here(
    model: str, scheduler: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    file = tmp_path / "a.tflite"
    file.write_bytes(b"")
    (tmp_path / "sweep").mkdir()

    def compute(orders: list[Any], at: str | None, announce: Any) -> Any:
        asked.append(at)
        yield Cost(())
        yield Files(pack(file), None, "")

    monkeypatch.setattr(building, "compute", compute)
    variant = replace(INT8, model=model, precision="fp32")
    (built,) = building.build([variant], tmp_path / "sweep", None, "tcp://lab:1")
    assert asked == [scheduler]
    assert (built.path, built.mult_adds) == (tmp_path / "sweep" / "a.tflite", 0)


class Fails:
    def __init__(self, number: int) -> None:
        self.number = number

    def do(self) -> int:
        if self.number == 2:
            raise UnsupportedError("not that")
        return self.number


@pytest.mark.slow
def test_the_first_failure_is_told(tmp_path: Path) -> None:
    made = computing.compute([Fails(number) for number in range(4)], None, lambda _: None)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(UnsupportedError, match="not that"):
        next(made)
