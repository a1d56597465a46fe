"""Which options go together, and what a target is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import TARGETS, Preprocessing, Target
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.quantize import Recipe
from mobiledeploy.runtimes.formats import open_session
from mobiledeploy.source import SourceModel

ALL: tuple[Target, ...] = ("tflite", "onnx", "coreml")


@pytest.mark.parametrize(
    ("wanted", "targets", "calibrated", "error", "says"),
    [
        (Wanted("int16x8"), ("onnx",), True, UnsupportedError, "It can do int8, int8-dynamic, int8-weights"),
        (Wanted("int16x8"), ("coreml",), True, UnsupportedError, "no int16 activations"),
        (Wanted("int8-dynamic"), ALL, False, UnsupportedError, "coreml can't do int8-dynamic"),
        (Wanted("int8"), ALL, False, InputError, "range of each activation"),
        (Wanted("int16x8"), ("tflite",), False, InputError, "range of each activation"),
        (
            Wanted("int8", "uint8"),
            ("tflite", "onnx"),
            True,
            InputError,
            "only TFLite files take or give",
        ),
        (Wanted("int8", "int16"), ("tflite",), True, InputError, "do not take or give int16"),
        (Wanted("int8-dynamic", None, "int8"), ("tflite",), False, InputError, "do not take or give int8"),
        (Wanted("fp16"), ("tflite",), True, InputError, "--precision int8"),
        (Wanted("fp32", "int16"), ("tflite",), False, InputError, "--precision int8"),
    ],
)
def test_what_is_refused(
    wanted: Wanted, targets: tuple[Target, ...], calibrated: bool, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        wanted.check(targets, calibrated)


@pytest.mark.parametrize(
    ("wanted", "targets", "calibrated"),
    [
        (Wanted("int8"), ALL, True),
        (Wanted("int8", "uint8", "uint8"), ("tflite",), True),
        (Wanted("int8", "float32", "float32"), ALL, True),
        (Wanted("int16x8", "float32", "int16"), ("tflite",), True),
        (Wanted("int8-dynamic"), ("tflite", "onnx"), False),
        (Wanted("int8-weights", "uint8"), ALL, False),
        (Wanted("fp16", "uint8"), ALL, False),
    ],
)
def test_what_is_not(wanted: Wanted, targets: tuple[Target, ...], calibrated: bool) -> None:
    wanted.check(targets, calibrated)


def normed() -> SourceModel:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 16, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 6),
    )
    for _ in range(20):
        net(torch.randn(8, 3, 32, 32))
    rule = Preprocessing(32, 32, resize_to=36, mean=(127.5,) * 3, std=(127.5,) * 3)
    return SourceModel(net.eval(), (torch.zeros(1, 3, 32, 32),), "image-classification", rule)


def test_the_default_recipe_follows_what_is_asked() -> None:
    source = normed()
    assert Wanted("int8").recipe(None, source, True).ranked_output
    asked = Wanted("int8", None, "float32").recipe(None, source, True)
    assert (asked.float_output, asked.ranked_output) == (True, False)
    assert not Wanted("int8-weights").recipe(None, source, False).needs_inputs
    given = Wanted("int16x8").recipe(Recipe(rounding="nearest"), source, True)
    assert (given.activations, given.rounding) == ("int16", "nearest")
    with pytest.raises(InputError, match="it is for int16 activations"):
        Wanted("int8").recipe(Recipe(activations="int16"), source, True)


def test_a_classifiers_scores_are_ranked_unless_the_recipe_says_otherwise() -> None:
    source, wanted = normed(), Wanted("int8")
    assert wanted.recipe(Recipe.from_json("{}"), source, True) == wanted.recipe(None, source, True)
    assert wanted.recipe(Recipe.from_json("{}"), source, True).ranked_output is True
    assert wanted.recipe(Recipe(ranked_output=False), source, True).ranked_output is False
    assert wanted.recipe(Recipe(float_output=True), source, True).ranked_output is False
    assert wanted.recipe(Recipe(), replace(source, task="other"), True).ranked_output is False


def test_three_formats_without_data(tmp_path: Path) -> None:
    shas = []
    for attempt in range(2):
        conversions = convert_all(
            normed(),
            TARGETS,
            name="net",
            precision="int8",
            calibration="none",
            output=tmp_path / str(attempt),
        )
        for conversion in conversions:
            contract = conversion.artifact.contract
            assert contract is not None
            assert contract.provenance.calibration == "no data: 64 inputs from batch norm statistics"
            assert conversion.verification is not None
            assert conversion.verification.passed
            assert not [warning for warning in conversion.warnings if warning.name == "few-inputs"]
        shas.append([conversion.artifact.sha256 for conversion in conversions])
    assert shas[0] == shas[1]
    session = open_session(tmp_path / "0" / "net_int8.onnx", threads=1)
    image = torch.randn(1, 3, 32, 32).clamp(-1, 1)
    wanted = normed().module(image).detach().numpy().clip(min=0)
    assert np.abs(session.run([image.numpy()])[0] - wanted).max() < 0.2 * wanted.max()


def test_without_batch_norm_there_is_nothing_to_calibrate_from(tmp_path: Path) -> None:
    source = normed()
    bare = SourceModel(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(),
        source.example_input,
        "image-classification",
        source.preprocessing,
    )
    with pytest.raises(InputError, match="no batch norm statistics"):
        convert_all(bare, ("tflite",), name="net", precision="int8", calibration="none", output=tmp_path)
    assert not list(tmp_path.iterdir())
