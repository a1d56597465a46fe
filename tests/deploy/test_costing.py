"""A model and every file made from it cost the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_model import SIZE
from torch import nn

from mobiledeploy.contract import TARGETS, Precision, Preprocessing, Target
from mobiledeploy.converters.export import export
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.costing import cost_of
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.layer_cost import Cost
from mobiledeploy.models.cost import program_cost
from mobiledeploy.runtimes.census import Artifact, FileContents, Op
from mobiledeploy.runtimes.file_cost import file_cost
from mobiledeploy.source import SourceModel


@pytest.fixture
def net() -> SourceModel:
    """Every kind of layer that the paper's networks have."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU6(),
            nn.Conv2d(8, 16, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 4),
        ).eval()
        # A bias of zeros would be left out of the ONNX file.
        nn.init.normal_(module[1].running_mean)
    rule = Preprocessing(SIZE, SIZE, "stretch", mean=(127.5,) * 3, std=(127.5,) * 3)
    return SourceModel(module, (torch.zeros(1, 3, SIZE, SIZE),), preprocessing=rule)


def figures(cost: Cost) -> list[tuple[str, int, int, int]]:
    return [(x.kind, x.mult_adds, x.weights, x.biases) for x in cost.layers]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_costs_what_its_program_does(precision: Precision, net: SourceModel, tmp_path: Path) -> None:
    expected = figures(program_cost(export(net)))
    assert [row[0] for row in expected] == ["Conv 3x3", "Conv dw 3x3", "Conv 1x1", "Fully connected"]
    calibration = "none" if precision == "int8" else None
    made = convert_all(
        net, TARGETS, name="m", precision=precision, calibration=calibration, output=tmp_path, verify=False
    )
    for conversion in made:
        found = cost_of(str(conversion.artifact.path))
        assert figures(found) == expected, conversion.artifact.target
        assert found.parameters == conversion.artifact.census.parameters
        assert found.mult_adds == conversion.artifact.census.mult_adds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mobilenet_v1_0.25_128_quant.tflite", "Conv dw 3x3"),
        ("mobilenet_v2_1.0_224_quant.tflite", "Conv dw 3x3"),
        ("vww_96_int8.tflite", "Fully connected"),
    ],
)
@pytest.mark.data
def test_files_that_others_made(name: str, kind: str, data_dir: Path) -> None:
    found = cost_of(str(data_dir / "tflite" / name))
    assert kind in {layer.kind for layer in found.kinds}
    if name.startswith("mobilenet_v1"):
        # TF-slim's README: 14 M mult-adds, 0.47 M parameters.
        assert found.mult_adds == pytest.approx(13.6e6, rel=0.01)
        assert found.parameters == pytest.approx(0.47e6, rel=0.01)


def test_open_shapes_are_not_counted_as_nothing(tmp_path: Path) -> None:
    op = Op("Conv", ("float32",), ("float32",), "float32", 0, name="stem", layer="Conv 3x3", parameters=27)
    target: Target = "onnx"
    artifact = Artifact(tmp_path / "x.onnx", target, "", 0, FileContents((), (), (op,), 27, 108))
    with pytest.raises(UnsupportedError, match="layer stem open"):
        file_cost(artifact)


def test_a_file_has_its_width_inside(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Leave --weights, --width"):
        cost_of(str(tmp_path / "x.tflite"), width=0.5)


def test_the_command(capsys: pytest.CaptureFixture[str], tiny_reference: str) -> None:
    assert main(["models", "cost", tiny_reference, "--resolution", "12", "--json"]) == 3
    capsys.readouterr()
    assert main(["models", "cost", tiny_reference, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    # 3x3 filters, stride 2 on 12 x 12 without padding: 5 x 5 x 4 outputs; then 4 x 3.
    assert data["mult_adds"] == 25 * 4 * 27 + 12
    assert data["parameters"] == 4 * 27 + 4 + 12 + 3
    assert [(row["name"], row["kind"]) for row in data["layers"]] == [
        ("0", "Conv 3x3"),
        ("4", "Fully connected"),
    ]
    assert main(["models", "cost", tiny_reference, "--table"]) == 0
    text = capsys.readouterr().out
    assert "Conv 3x3" in text
    assert "2,700" in text
