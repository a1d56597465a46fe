"""Fine-tuning an int8 model on labelled images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from toys import COLOURS, attribute_table, box_file, colour_folders, identity_folders

from mobiledeploy.contract import Preprocessing, Task
from mobiledeploy.converters.export import export
from mobiledeploy.deploy.calibration import calibration_for
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.tuning import Tuning, lesson_for
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.models import load
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.source import SourceModel

pytestmark = pytest.mark.usefixtures("one_thread")

RULE = Preprocessing(32, 32, "stretch", mean=(127.5,) * 3, std=(127.5,) * 3)
NAMES = tuple(sorted(COLOURS))


def network(task: Task = "image-classification", outputs: int = 3) -> SourceModel:
    """Untrained, so that there is much to learn."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, outputs),
    ).eval()
    labels = NAMES if outputs == 3 else ()
    return SourceModel(module, (torch.zeros(1, 3, 32, 32),), task, RULE, labels)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("colours"), each=8)


def test_labels_are_learnt_and_the_same_every_time(colours: Path) -> None:
    source = network()
    program = export(source)
    shown = calibration_for(source, program, colours)
    recipe = Recipe(fine_tuning=30, learning_rate=1.0, batch=4, rounding="nearest", bias_correction="none")

    found = [
        quantize(program, shown.inputs, recipe, lesson=lesson_for(source, Tuning(colours))) for _ in range(2)
    ]

    first, second = (item.report.fine_tuning for item in found)
    assert first == second
    assert first.after < 0.9 * first.before
    assert first.kept_back == 4


def test_detectors_learn_their_boxes(tmp_path: Path) -> None:
    labels = box_file(tmp_path, 10)
    source = load("ssd_mobilenet_v1", weights="random", width=0.25, resolution=96)

    lesson = lesson_for(source, Tuning(tmp_path, labels))

    ((inputs, truth), *_) = list(lesson.kept_back)
    with torch.no_grad():
        assert lesson.loss(source.module(*inputs), truth) > 0
    assert len(lesson.epoch(0)) == 8


def test_attributes_learn(tmp_path: Path) -> None:
    labels = attribute_table(tmp_path, 10)

    lesson = lesson_for(network("multi-label-classification", 2), Tuning(tmp_path, labels))

    ((inputs, truth), *_) = list(lesson.epoch(0))
    assert (inputs[0].shape, truth.shape) == ((1, 3, 32, 32), (1, 2))


def test_orders_of_epochs_differ(colours: Path) -> None:
    lesson = lesson_for(network(), Tuning(colours))

    orders = [torch.cat([inputs[0] for inputs, _ in lesson.epoch(number)]) for number in (0, 0, 1)]

    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_embeddings_are_refused(tmp_path: Path) -> None:
    identity_folders(tmp_path, 2, 2)

    with pytest.raises(UnsupportedError, match="several images at once"):
        lesson_for(network("embedding"), Tuning(tmp_path))


def test_labels_out_of_range_are_refused(colours: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("".join(f"red/{index}.png,{index}\n" for index in range(6)))

    with pytest.raises(InputError, match=r"red/3.png is of class 3, the model has 3 from 0"):
        lesson_for(network(), Tuning(colours, table))


def test_too_few_images_are_refused(colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("red/0.png,0\n")

    with pytest.raises(InputError, match="1 labelled images are too few"):
        lesson_for(network(), Tuning(colours, tmp_path / "labels.csv"))


def test_labels_without_epochs_are_refused(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labelled images are for fine-tuning, and the recipe has none"):
        convert(network(), precision="int8", calibration=colours, tuning_images=colours, output=tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_command_writes_a_file_that_says_how_it_was_tuned(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("".join(f"red/{index}.png,{index}\n" for index in range(6)))
    common = ["--weights", "random", "--width", "0.25", "--resolution", "32", "--precision", "int8"]
    code = main(
        [
            "convert", "mobilenet_v1", *common, "--calibration", str(colours),
            "--recipe", '{"fine_tuning": 1}',
            "--tuning", str(colours), "--tuning-labels", str(table), "-o", str(tmp_path), "--json",
        ]
    )  # fmt: skip

    assert code == 0
    capsys.readouterr()
    made = read_artifact(tmp_path / "mobilenet_v1_0.25_32_int8.tflite")
    assert "fine-tuning: loss" in made.contract.provenance.choices
