"""What calibrates a model and what a recipe file says, from the command line to the file's provenance."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mobiledeploy.contract import TARGETS, Precision, Preprocessing, Provenance
from mobiledeploy.converters.export import export
from mobiledeploy.deploy.calibration import calibration_for, choose_images
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import Conversion, convert_all
from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.source import SourceModel

SIZE = 16
MODEL = "normed_user_model:build"
CODE = """
import torch
from torch import nn
from mobiledeploy.contract import Preprocessing, Provenance
from mobiledeploy.source import SourceModel

def net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
    for _ in range(20):
        net(torch.randn(8, 3, 16, 16).clamp(-1, 1))
    return net.eval()

def build():
    return net(), torch.zeros(1, 3, 16, 16)
"""
LEARN = ("--precision", "int8", "--preprocessing", "inception", "--recipe", "recipe.json")
Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceModel:
    (tmp_path / "normed_user_model.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(CODE, names)  # noqa: S102
    rule = Preprocessing(SIZE, SIZE, resize_to=18, mean=(127.5,) * 3, std=(127.5,) * 3)
    return SourceModel(
        names["net"](),
        (torch.zeros(1, 3, SIZE, SIZE),),
        "image-classification",
        rule,
        provenance=Provenance(model="normed"),
    )


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Exit code and JSON of ``convert`` of the model."""

    def run(*arguments: str | Path, model: str | Path = MODEL) -> tuple[int, dict[str, Any]]:
        code = main(["convert", str(model), *map(str, arguments), "-o", "out", "--json"])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, json.loads(captured.out)

    return run


def files(
    source: SourceModel, precision: Precision, calibration: object, **options: Any
) -> tuple[Conversion, ...]:
    return convert_all(
        source,
        options.pop("targets", ("tflite",)),
        name="net",
        precision=precision,
        calibration=calibration,  # type: ignore[arg-type]
        output="out",
        **options,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"range": "mse"}', "unknown field 'range'"),
        ('{"ranges": "medium"}', "minmax or percentile or entropy or mse"),
        ('{"percentile": 20}', "above 50, up to 100"),
        ('{"equalisation": 1}', "on or off or auto"),
        ('{"absorption": 1}', "true or false"),
        ('{"exempt": ["no.such.layer"]}', "no layer is called 'no.such.layer'"),
        ('{"activations": "int16"}', "it is for int16 activations"),
    ],
)
def test_a_wrong_recipe_is_told(source: SourceModel, ask: Ask, photos: Path, text: str, says: str) -> None:
    Path("recipe.json").write_text(text)
    code, data = ask("--precision", "int8-weights", "--recipe", "recipe.json")
    assert code == data["error"]["exit_code"] == 3
    assert says in data["error"]["message"]
    assert not list(Path("out").glob("*"))


def test_a_recipe_that_is_not_there_or_no_text(source: SourceModel, ask: Ask) -> None:
    code, data = ask("--precision", "int8-weights", "--recipe", "none.json")
    assert (code, "none.json" in data["error"]["message"]) == (3, True)
    Path("noise.json").write_bytes(b"\xff\xfe\x00\x80")
    code, data = ask("--precision", "int8-weights", "--recipe", "noise.json")
    assert (code, "it is no text" in data["error"]["message"]) == (3, True)
    assert not Path("out").exists()


def test_a_recipe_of_a_float_file_is_refused(source: SourceModel, ask: Ask) -> None:
    Path("recipe.json").write_text("{}")
    code, data = ask("--recipe", "recipe.json")
    assert code == 3
    assert "--precision int8" in data["error"]["message"]


def test_a_recipe_that_wants_inputs_says_where_they_come_from(source: SourceModel, ask: Ask) -> None:
    Path("recipe.json").write_text("{}")
    code, data = ask("--precision", "int8-weights", "--recipe", "recipe.json")
    assert code == 3
    assert "calibration" in data["error"]["message"]


@pytest.mark.slow
def test_the_recipe_of_a_file_is_in_the_file(source: SourceModel, photos: Path) -> None:
    recipe = Recipe(weights="per-tensor", ranges="minmax", rounding="nearest")
    for conversion in files(source, "int8", photos, recipe=recipe, targets=TARGETS):
        contract = conversion.artifact.contract
        assert contract is not None
        written = Recipe.from_json(contract.provenance.recipe)
        assert written.equalisation in ("on", "off")
        assert replace(written, equalisation="auto", ranked_output=None) == recipe
        assert contract.provenance.choices.startswith(f"equalisation {written.equalisation}: ")


def test_a_recipe_with_fine_tuning(source: SourceModel, ask: Ask, photos: Path) -> None:
    """From the command line to the file, which says what it did; again, the same bytes."""
    Path("recipe.json").write_text(
        '{"equalisation": "off", "fine_tuning": 2, "learning_rate": 0.1, "batch": 2}'
    )
    arguments = (*LEARN, "--calibration", photos)
    (code, data), (_, again) = ask(*arguments), ask(*arguments)
    assert code == 0
    assert data["files"][0]["sha256"] == again["files"][0]["sha256"]
    made = data["files"][0]["contract"]["provenance"]
    assert json.loads(made["recipe"])["fine_tuning"] == 2
    assert re.fullmatch(r"30 images, (sha256 \w+); learnt from 30 images, \1", made["calibration"])
    assert re.search(r"fine-tuning\b.* of \d+.* inputs kept back$", made["choices"])


def test_fine_tuning_that_diverges_writes_nothing(
    source: SourceModel, ask: Ask, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobiledeploy.quantize.lesson.outputs_of", lambda *_: [torch.tensor([math.nan])])
    Path("recipe.json").write_text('{"fine_tuning": 1, "equalisation": "off"}')
    code, data = ask(*LEARN, "--calibration", photos)
    assert (code, data["error"]["exit_code"]) == (3, 3)
    assert "diverged: the loss is nan at step 0" in data["error"]["message"]
    assert not list(Path("out").glob("*"))


def test_a_float_output_and_an_output_of_codes_do_not_go_together(source: SourceModel, photos: Path) -> None:
    recipe = Recipe(float_output=True, rounding="nearest")
    with pytest.raises(InputError, match="output"):
        files(source, "int8", photos, recipe=recipe, output_dtype="int8")


@pytest.mark.slow
def test_a_program_that_is_quantized_already(source: SourceModel, ask: Ask, photos: Path) -> None:
    program = export(source)
    inputs = [(torch.randn(1, 3, SIZE, SIZE),) for _ in range(10)]
    torch.export.save(quantize(program, inputs, Recipe(rounding="nearest")).program, "int8.pt2")
    # A program says nothing of images; weights alone need none.
    code, data = ask("--precision", "int8-weights", model="int8.pt2")
    assert code == 3
    assert "quantized already" in data["error"]["message"]
    assert "float model" in data["error"]["message"]
    assert not list(Path("out").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8-weights", "int8-dynamic"])
def test_weights_alone_need_no_calibration_and_take_one(
    source: SourceModel, photos: Path, precision: Precision
) -> None:
    said = []
    for calibration in (None, "none", photos):
        (made,) = files(source, precision, calibration, targets=("onnx",))
        assert made.verification is not None
        assert made.verification.passed
        assert "few-inputs" not in {warning.name for warning in made.warnings}
        contract = made.artifact.contract
        assert contract is not None
        said.append(contract.provenance.calibration)
    assert said[0] == ""
    assert said[1].startswith("no data: ")
    assert said[2].startswith("30 images, sha256 ")


@pytest.mark.parametrize("calibration", ["none", "photos"])
def test_pixels_inside_and_a_calibration(source: SourceModel, photos: Path, calibration: str) -> None:
    """The file takes bytes: calibration sees what the first layer sees, or the pair is refused."""
    try:
        (made,) = files(source, "int8-weights", calibration, input_dtype="uint8")
    except InputError:
        return
    assert made.artifact.contents.inputs[0].dtype == "uint8"
    assert made.verification is not None
    assert made.verification.passed


def test_without_data_the_same_bytes(source: SourceModel) -> None:
    shas = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made = files(source, "int16x8", "none")
        shas.append(made[0].artifact.sha256)
    assert shas[0] == shas[1]


def test_inputs_without_data_stay_within_what_an_image_can_be(source: SourceModel) -> None:
    made = calibration_for(source, export(source), "none")
    assert made.images == 0
    for (tensor,) in made.inputs:
        assert float(tensor.min()) >= -1
        assert float(tensor.max()) <= 1
    assert all(0 < array.std() < 1 for (array,) in made.compared)


def test_images_are_spread_over_the_folder(tmp_path: Path) -> None:
    for index in range(250):
        (tmp_path / f"{index:03}.png").touch()
    chosen = choose_images(tmp_path)
    assert len(chosen) == 100
    assert (chosen[0].name, chosen[1].name, chosen[-1].name) == ("000.png", "002.png", "198.png")


def test_fine_tuning_learns_from_more_images(source: SourceModel, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(250):
        (folder / f"{index:03}.png").symlink_to(sorted(photos.iterdir())[index % 10])
    made = calibration_for(source, export(source), folder)
    assert len(made.inputs) == 100
    assert made.said.startswith("100 images, sha256 ")
    assert made.learnt is not None
    assert len(set(made.learnt.images)) == 250
    assert made.learnt.said.startswith("250 images, sha256 ")
    assert [len(part) for part in (made.learnt[100:], made.learnt[:2])] == [150, 2]
    # Every second of 250 calibrates.
    assert torch.equal(made.learnt[2][0], list(made.inputs)[1][0])


def test_images_that_cannot_be_read_or_are_all_alike(source: SourceModel, photos: Path) -> None:
    for path in sorted(photos.iterdir())[:3]:
        Image.new("RGB", (20, 20), (90, 90, 90)).save(path)
    (made,) = files(source, "int8", photos)
    places = [warning.where for warning in made.warnings if warning.name == "constant-input"]
    assert places == ["input 0", "input 1", "input 2"]
    (photos / "07.png").write_text("no image")
    with pytest.raises(InputError, match=r"07\.png"):
        files(source, "int8", photos)


def test_a_channel_of_nothing_but_zeros(source: SourceModel, photos: Path) -> None:
    layer: Any = source.module[6]  # type: ignore[index]
    layer.weight.data[3] = 0
    for conversion in files(source, "int8", photos, targets=TARGETS):
        assert ("zero-weights", "6") in {(item.name, item.where) for item in conversion.warnings}
        assert conversion.verification is not None
        assert conversion.verification.passed


@pytest.mark.parametrize("calibration", ["photos", "none"])
def test_a_layer_of_nan_is_named(source: SourceModel, photos: Path, calibration: str) -> None:
    layer: Any = source.module[6]  # type: ignore[index]
    layer.weight.data[3, 0] = float("nan")
    with pytest.raises(InputError, match=r"^6: calibration input 0 makes NaN"):
        files(source, "int8", calibration)
