"""``--max-drop``: the layer that spoils int8 stays float, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import mobiledeploy
from mobiledeploy.contract import Preprocessing
from mobiledeploy.deploy.budget import Drop
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.quantize import Recipe
from mobiledeploy.source import SourceModel

# One scale per tensor and no help: a single large channel leaves the others nothing.
PLAIN = Recipe(
    weights="per-tensor", ranges="minmax", equalisation=False, bias_correction="none", rounding="nearest"
)


@pytest.fixture
def source() -> SourceModel:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    ).eval()
    # Channel 0 never fires, and its readers' weights are 2000 times as large as the others.
    net[0].weight.data[0], net[0].bias.data[0] = 0, -1
    net[2].weight.data[:, 0] *= 2000
    net[2].bias.data.zero_()
    net[6].bias.data.zero_()
    net[6].weight.data -= net[6].weight.data.mean(1, keepdim=True)
    rule = Preprocessing(32, 32, resize_to=36, mean=(127.5,) * 3, std=(60.0,) * 3)
    return SourceModel(net, (torch.zeros(1, 3, 32, 32),), "image-classification", rule)


def convert(source: SourceModel, photos: Path, output: Path, drop: Drop | None):  # type: ignore[no-untyped-def]
    return convert_all(
        source,
        ("tflite",),
        name="net",
        precision="int8",
        calibration=photos,
        recipe=PLAIN,
        drop=drop,
        output=output,
        verify=False,
    )[0]


def test_only_the_layers_that_cost_stay_float(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    conversion = convert(source, photos, tmp_path / "out", Drop(5.0))
    budget = conversion.budget
    assert budget is not None
    assert not budget.labelled
    assert budget.images == 30
    assert budget.trials[0].exempt == ()
    assert budget.trials[0].drop > 5.0
    assert budget.chosen.drop <= 5.0
    assert "2" in budget.chosen.exempt
    assert "0" not in budget.chosen.exempt
    assert budget.chosen.size > budget.trials[0].size
    assert budget.latency is not None
    # What is said of the file is in the file.
    contract = conversion.artifact.contract
    assert contract is not None
    assert tuple(json.loads(contract.provenance.recipe)["exempt"]) == budget.chosen.exempt
    floats = [op for op in conversion.artifact.contents.ops if op.mult_adds and op.weights == "float32"]
    assert len(floats) == len(budget.chosen.exempt)


def test_labelled_images_count_against_their_labels(
    source: SourceModel, photos: Path, tmp_path: Path
) -> None:
    float_file = mobiledeploy.convert(source, output=tmp_path / "float.tflite")
    csv = tmp_path / "labels.csv"
    csv.write_text("file,label\n" + "".join(f"{index:02}.png,3\n" for index in range(30)))
    run = mobiledeploy.evaluate(float_file.path, photos, labels=csv)
    # Ten labels that float gets wrong: of these int8 can lose none.
    labels = [item.classes[0 if place < 20 else 1] for place, item in enumerate(run.predictions)]
    csv.write_text("file,label\n" + "".join(f"{i:02}.png,{label}\n" for i, label in enumerate(labels)))
    budget = convert(source, photos, tmp_path / "out", Drop(5.0, photos, csv)).budget
    assert budget is not None
    assert budget.labelled
    assert 5.0 < budget.trials[0].drop <= 100 * 20 / 30
    assert budget.chosen.exempt == ("2",)


def test_what_makes_no_sense(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="largest drop is for quantized classifiers"):
        mobiledeploy.convert(source, max_drop=0.5, output=tmp_path)
    with pytest.raises(InputError, match="largest drop"):
        mobiledeploy.convert(source, precision="int8", calibration=photos, max_drop=-1, output=tmp_path)
    with pytest.raises(InputError, match="nothing to measure the drop on"):
        mobiledeploy.convert(source, precision="int8-weights", max_drop=1, output=tmp_path)


def test_a_budget_that_cannot_hold(
    source: SourceModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Even a float network of int8 borders differs somewhere when it may differ nowhere.
    monkeypatch.setattr("mobiledeploy.deploy.budget._by_cost", lambda _: ["0"])
    with pytest.raises(VerificationError, match="with every layer in float"):
        convert(source, photos, tmp_path / "out", Drop(0.0))
