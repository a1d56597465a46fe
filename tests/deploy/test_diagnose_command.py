"""``mobiledeploy diagnose`` as a user meets it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.layer_diagnosis import diagnose
from mobiledeploy.deploy.layer_plot import plot
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.history.findings import Finding
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.quantize import Diagnosis, LayerNoise, Recipe
from mobiledeploy.source import SourceModel

MODEL = "layered_user_model:build"


@pytest.fixture
def photos(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Calibration images and a model with batch norms, in the current folder."""
    (tmp_path / "layered_user_model.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from mobiledeploy.contract import Preprocessing\n"
        "from mobiledeploy.source import SourceModel\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    stem = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6()]\n"
        "    depthwise = [nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6()]\n"
        "    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]\n"
        "    rule = Preprocessing(16, 16, resize_to=18, mean=(127.5,) * 3, std=(127.5,) * 3)\n"
        "    net = nn.Sequential(*stem, *depthwise, *head).eval()\n"
        "    return SourceModel(net, (torch.zeros(1, 3, 16, 16),), 'image-classification', rule)\n"
    )
    monkeypatch.chdir(tmp_path)
    return photos


@pytest.fixture
def diagnosis() -> Diagnosis:
    """65 rows, some with infinite figures."""
    rows = [LayerNoise("", "input", 40.0, math.inf, 40.0, 50.0)]
    for index in range(63):
        path = f"features.{index}.conv.0.0"
        rows.append(
            LayerNoise(path, "aten.conv2d.default", 30 + index / 7, 33 + index / 7, 35.0, 45 - index / 3)
        )
    rows.append(LayerNoise("exact", "aten.linear.default", math.inf, math.inf, math.inf, math.inf))
    return Diagnosis(tuple(rows), 21.0, "so it is.")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    code = main(["diagnose", *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def test_all_rows_are_in_the_json(capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    code, data = ask(capsys, MODEL, "--calibration", photos, "--worst", "1", "--plot", "out/layers.svg")
    assert code == 0
    assert [row["module"] for row in data["layers"]] == ["", "0", "3", "6", "8"]
    assert data["layers"][0]["operation"] == "input"
    assert data["layers"][0]["weights_only"] is None
    assert data["layers"][1]["weights_only"] > 20
    assert data["total"] > 15
    assert data["verdict"].startswith(f"{data['total']:.1f} dB in all")
    assert {"load", "export", "calibrate", "diagnose", "plot"} <= set(data["seconds"])
    assert Path(data["plot"]).read_text().count("<svg") == 1
    with open_history() as history:
        (row,) = history.find()
        assert ([row.id], row.kind, row.model_name) == (data["history"]["ids"], "diagnosis", MODEL)
        stored = history.load(row.id)
    assert isinstance(stored, Finding)
    assert stored.data["layers"] == data["layers"]
    assert ask(capsys, MODEL, "--calibration", photos, "--no-store")[1]["history"]["ids"] == []


@pytest.mark.slow
def test_the_table_sorts_and_cuts(capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    _, data = ask(capsys, MODEL, "--calibration", photos)
    costs = [row["isolated"] for row in data["layers"]]

    def shown(*options: str) -> list[str]:
        assert main(["diagnose", MODEL, "--calibration", str(photos), *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        table = lines[2 : next(index for index, line in enumerate(lines) if line.startswith(("not", "time")))]
        return [line.split()[2] for line in table]

    graph = [f"{cost:.1f}" for cost in costs]
    assert shown() == graph
    assert shown("--sort", "cost") == [f"{cost:.1f}" for cost in sorted(costs)]
    assert shown("--worst", "2") == [f"{cost:.1f}" for cost in costs if cost in sorted(costs)[:2]]


@pytest.mark.slow
def test_no_images_and_other_arithmetic(capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    Path("recipe.json").write_text('{"activations": "float", "exempt": ["3"]}')
    code, data = ask(capsys, MODEL, "--calibration", photos, "--recipe", "recipe.json")
    assert code == 0
    assert [row["module"] for row in data["layers"]] == ["0", "8"]
    assert {row["activations_only"] for row in data["layers"]} == {None}
    code, data = ask(capsys, MODEL, "--calibration", "none")
    assert code == 0
    assert len(data["layers"]) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((MODEL,), 3, "--calibration DIR"),
        ((MODEL, "--calibration", "nowhere"), 3, "nowhere"),
        ((MODEL, "--calibration", "photos", "--recipe", "none.json"), 3, "none.json"),
        ((MODEL, "--calibration", "photos", "--plot", "layers.pdf"), 3, ".svg or .png"),
        ((MODEL, "--calibration", "photos", "--plot", "photos/00.png/x.svg"), 7, "photos/00.png/x.svg"),
        (("mobilenet_v22", "--calibration", "photos"), 3, "mobilenet_v2"),
        ((MODEL, "--calibration", "photos", "--sort", "size"), 2, "size"),
        ((MODEL, "--calibration", "photos", "--worst", "0"), 2, "--worst"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str], photos: Path
) -> None:
    got, data = ask(capsys, *arguments)
    assert got == data["error"]["exit_code"] == code
    assert message in data["error"]["message"]


def test_a_recipe_with_an_unknown_layer(capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    Path("recipe.json").write_text('{"exempt": ["33"]}')
    code, data = ask(capsys, MODEL, "--calibration", photos, "--recipe", "recipe.json")
    assert code == 3
    assert "no layer is called '33'" in data["error"]["message"]


def test_from_python(tiny: SourceModel, photos: Path) -> None:
    found = diagnose(tiny, calibration=photos)
    assert [row.module for row in found.layers] == ["", "0", "3", "5"]
    empty = photos / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty"):
        diagnose(tiny, calibration=empty, recipe=Recipe())


@pytest.mark.parametrize("name", ["layers.svg", "layers.png"])
def test_pictures_are_the_same_each_time(name: str, diagnosis: Diagnosis, tmp_path: Path) -> None:
    files = [tmp_path / str(index) / name for index in range(2)]
    for file in files:
        plot(diagnosis, "a model", file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in files[0].parent.iterdir()] == [name]


def test_a_picture_names_every_layer(diagnosis: Diagnosis, tmp_path: Path) -> None:
    plot(diagnosis, "a model", tmp_path / "layers.svg")
    text = (tmp_path / "layers.svg").read_text()
    assert all(f"{row.module}  conv2d" in text for row in diagnosis.layers[1:-1])
    assert "dc:date" not in text
    plot(diagnosis, "a model", tmp_path / "layers.png")
    with Image.open(tmp_path / "layers.png") as picture:
        # Room for a line of text per layer.
        assert picture.height > 25 * len(diagnosis.layers)


def test_without_matplotlib(
    capsys: pytest.CaptureFixture[str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    code, data = ask(capsys, MODEL, "--calibration", photos, "--plot", "layers.svg")
    assert code == EnvironmentProblem.exit_code
    assert "pip install 'mobiledeploy[plot]'" in data["error"]["message"]
    assert ask(capsys, MODEL, "--calibration", photos)[0] == 0
