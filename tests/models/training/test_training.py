"""Trainings from end to end on small data: what is learned, what is kept, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import COLOURS, box_file, colour_folders

from mobiledeploy import models
from mobiledeploy.deploy.training import train
from mobiledeploy.errors import EnvironmentProblem, InputError, OutputError
from mobiledeploy.models.training.run_folder import RunFolder
from mobiledeploy.models.training.settings import make_settings

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "optimizer": "sgd"}


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folders(tmp_path_factory.mktemp("colours"))


def quick(data: Path, output: Path, **changes: Any) -> Any:
    options: dict[str, Any] = {"width": 0.25, "resolution": 32, "device": "cpu"}
    settings = {**QUICK, **{name: changes.pop(name) for name in list(changes) if name in SETTINGS}}
    return train(
        changes.pop("model", "mobilenet_v1"),
        data,
        output,
        settings=make_settings("paper", settings),
        **{**options, **changes},
    )


# Enough for the colours to be told apart.
LEARNING = {
    "epochs": 25,
    "batch_size": 12,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "resolution": 64,
}
SETTINGS = set(make_settings().__dataclass_fields__)


def test_network_learns_and_says_what_it_is(colours: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    trained = quick(colours, tmp_path / "run", **LEARNING, said=lines.append, validation=colours)

    assert trained.best.validation == 1.0
    assert trained.images == (36, 36)
    assert len(lines) == len(trained.epochs) == 25
    assert lines[-1].startswith("epoch 25 of 25: loss ")
    source = models.load(str(trained.model))
    assert source.labels == tuple(sorted(COLOURS))
    assert source.task == "image-classification"
    assert source.preprocessing.height == 64
    assert tuple(source.example_input[0].shape) == (1, 3, 64, 64)
    assert source.provenance.model == "mobilenet_v1 (width 0.25)"


def test_folder_says_what_was_done(colours: Path, tmp_path: Path) -> None:
    trained = quick(colours, tmp_path / "run")

    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "model.safetensors", "last.safetensors", "training.json", "epochs.jsonl", "state.pt", "tensorboard"
    }  # fmt: skip
    assert RunFolder(tmp_path / "run").epochs() == list(trained.epochs)
    identity = json.loads((tmp_path / "run" / "training.json").read_text())
    assert identity["model"]["width"] == 0.25
    assert identity["training"]["images"] == 33  # a tenth of 36 is kept apart
    assert identity["validation"]["images"] == 3


def test_curves_are_written_for_tensorboard(colours: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = quick(colours, tmp_path / "run", epochs=3)

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    points = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    assert points["training/loss"][0].step == 10
    assert [point.step for point in points["validation/loss"]] == [4, 8, 12]
    assert points["validation/top-1"][-1].value == pytest.approx(trained.epochs[-1].validation)


def test_same_seed_gives_same_bytes_and_another_others(colours: Path, tmp_path: Path) -> None:
    first, again, other = (
        quick(colours, tmp_path / name, seed=seed).last.read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert first == again != other


def test_threads_that_decode_do_not_matter(colours: Path, tmp_path: Path) -> None:
    one, four = (
        quick(colours, tmp_path / str(workers), workers=workers).last.read_bytes() for workers in (1, 4)
    )

    assert one == four


def test_finished_training_is_not_done_again(colours: Path, tmp_path: Path) -> None:
    trained = quick(colours, tmp_path / "run")
    before = trained.model.stat().st_mtime_ns
    steps: list[int] = []

    again = quick(colours, tmp_path / "run", step=lambda done, _total: steps.append(done))

    assert (steps, again.resumed, again.epochs) == ([], 2, trained.epochs)
    assert trained.model.stat().st_mtime_ns == before


class Stop(Exception):  # noqa: N818
    """As an interruption."""


@pytest.mark.parametrize("step", [1, 4, 6])
def test_interrupted_training_ends_as_an_undisturbed_one(
    colours: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kept after every step, so that it also goes on within an epoch.
    monkeypatch.setattr("mobiledeploy.models.training.loop.KEEP_EVERY", -1.0)
    whole = quick(colours, tmp_path / "whole", ema=0.9, epochs=3)

    def stop(done: int, _total: int) -> None:
        if done == step:
            raise Stop

    with pytest.raises(Stop):
        quick(colours, tmp_path / "cut", ema=0.9, epochs=3, step=stop)
    resumed = quick(colours, tmp_path / "cut", ema=0.9, epochs=3)

    assert resumed.last.read_bytes() == whole.last.read_bytes()
    assert resumed.model.read_bytes() == whole.model.read_bytes()
    assert [epoch.loss for epoch in resumed.epochs] == [epoch.loss for epoch in whole.epochs]


@pytest.mark.slow
def test_killed_training_ends_as_an_undisturbed_one(colours: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "mobiledeploy.deploy", "train", "mobilenet_v1", "--width", "0.25",
        "--resolution", "32", "--data", str(colours), "--epochs", "40", "--batch-size", "8",
        "--settings", '{"ema": 0.9}', "--device", "cpu",
    ]  # fmt: skip
    subprocess.run([*command, "-o", str(tmp_path / "whole")], check=True, capture_output=True)
    kills = 0
    for seconds in (0.3, 0.8, 0.5, 1.1):
        process = subprocess.Popen([*command, "-o", str(tmp_path / "cut")], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (tmp_path / "cut" / "training.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(seconds + (2.5 if kills else 0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    subprocess.run([*command, "-o", str(tmp_path / "cut")], check=True, capture_output=True)

    assert kills >= 1
    for name in ("model.safetensors", "last.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "cut").glob(".*"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learning_rate": 0.1}, "settings.learning_rate was 0.05 and is 0.1"),
        ({"width": 0.5}, "model.width was 0.25 and is 0.5"),
        ({"validation_share": 0.2}, "training.images was 33 and is 29"),
    ],
)
def test_another_training_in_the_folder_is_refused(
    colours: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    trained = quick(colours, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}

    with pytest.raises(InputError, match=says):
        quick(colours, tmp_path / "run", **changes)

    assert {path: path.read_bytes() for path in before} == before
    assert trained.model in before


def test_foreign_folder_is_left_alone(colours: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("important")

    with pytest.raises(InputError, match="no folder of a training and not empty"):
        quick(colours, tmp_path / "mine")

    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("damage", [b"", b"\x80\x02", b"PK\x03\x04nothing"])
def test_damaged_state_is_said(colours: Path, tmp_path: Path, damage: bytes) -> None:
    quick(colours, tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(damage)

    with pytest.raises(InputError, match=r"state of the training is damaged.*Remove it"):
        quick(colours, tmp_path / "run")


def test_state_runs_no_code(colours: Path, tmp_path: Path) -> None:
    quick(colours, tmp_path / "run")
    torch.save({"module": Stop("code")}, tmp_path / "run" / "state.pt")

    with pytest.raises(InputError, match="state of the training is damaged"):
        quick(colours, tmp_path / "run")


def test_broken_images_are_named_before_the_first_epoch(colours: Path, tmp_path: Path) -> None:
    colour_folders(tmp_path / "data", each=4)
    victim = tmp_path / "data" / "red" / "2.png"
    victim.write_bytes(victim.read_bytes()[:200])
    (tmp_path / "data" / "blue" / "1.png").write_bytes(b"")

    with pytest.raises(InputError) as caught:
        quick(tmp_path / "data", tmp_path / "run")

    assert "png" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_one_class_is_refused(tmp_path: Path) -> None:
    colour_folders(tmp_path / "data", each=2)
    for name in ("red", "blue"):
        (tmp_path / "data" / name).rename(tmp_path / name)

    with pytest.raises(InputError, match="all images are of one class"):
        quick(tmp_path / "data", tmp_path / "run")

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("red/0.png,0\nblue/0.png,5\n", "no image is of class 1"),
        ("red/0.png,0\nblue/0.png,-1\n", "'-1' is not a class index"),
        ("red/0.png,0\nblue/9999.png,1\n", "not in"),
    ],
)
def test_labels_that_do_not_fit_are_refused(colours: Path, tmp_path: Path, rows: str, says: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(rows)

    with pytest.raises(InputError, match=says):
        quick(colours, tmp_path / "run", labels=labels)


def test_label_beyond_the_names_is_refused(colours: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("red/0.png,0\nblue/0.png,1\nblue/1.png,2\n")
    (tmp_path / "names.txt").write_text("red\nblue\n")

    with pytest.raises(InputError, match=r"blue/1.png is of class 2, the model has 2 from 0"):
        quick(colours, tmp_path / "run", labels=tmp_path / "labels.csv", class_names=tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("box", "says"), [([90, 0, 50, 20], "reaches out of its image"), ([5, 5, 0, 10], "the box is empty")]
)
def test_boxes_that_are_none_are_refused(tmp_path: Path, box: list[int], says: str) -> None:
    labels = box_file(tmp_path / "data", 4)
    truth = json.loads(labels.read_text())
    truth["annotations"][2]["bbox"] = box
    labels.write_text(json.dumps(truth))

    with pytest.raises(InputError, match=f"annotation 2.*{says}"):
        quick(tmp_path / "data", tmp_path / "run", model="ssd_mobilenet_v1", labels=labels, resolution=96)

    assert not (tmp_path / "run").exists()


def test_loss_that_is_no_number_is_said_with_its_step(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the loss is .* in epoch \d+, step \d.*learning rate below"):
        quick(colours, tmp_path / "run", learning_rate=1e20, clip=0.0, epochs=5)


def test_unwritable_folder_is_said(colours: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written"):
        quick(colours, tmp_path / "file" / "run")


def test_device_that_is_not_here_is_said(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no device 'gpu'"):
        quick(colours, tmp_path / "run", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(EnvironmentProblem, match="0 CUDA devices"):
            quick(colours, tmp_path / "run", device="cuda")


def test_weights_begin_a_training_with_another_head(colours: Path, tmp_path: Path) -> None:
    first = quick(colours, tmp_path / "first", epochs=1)
    two = tmp_path / "two"
    colour_folders(two, each=8)
    (two / "red").rename(tmp_path / "elsewhere")

    second = quick(two, tmp_path / "second", weights=first.last, epochs=1, learning_rate=1e-9)

    before, after = load_file(first.last), load_file(second.last)
    assert after["classifier.weight"].shape[0] == 2
    name = "features.5.0.weight"
    assert torch.allclose(before[name], after[name], atol=1e-6)


def test_model_of_ones_own_is_trained_and_loaded_by_name(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_to_train.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))\n"
    )
    monkeypatch.chdir(tmp_path)

    trained = quick(
        colours,
        tmp_path / "run",
        model="mine_to_train:make",
        width=None,
        task="image-classification",
        preprocessing="unit",
    )

    source = models.load("mine_to_train:make", weights=trained.model)
    assert (source.labels, source.task) == (tuple(sorted(COLOURS)), "image-classification")
    assert source.preprocessing.height == 32
    with pytest.raises(InputError, match="its network is the code mine_to_train:make"):
        models.load(str(trained.model))


def test_outputs_of_ones_own_model_have_to_fit(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "too_many.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))\n"
    )
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match="the model's outputs are 1x7, the data has 3 classes"):
        quick(
            colours,
            tmp_path / "run",
            model="too_many:make",
            width=None,
            task="image-classification",
            preprocessing="unit",
        )


@pytest.mark.slow
def test_student_learns_from_a_teacher_without_labels(colours: Path, tmp_path: Path) -> None:
    teacher = quick(colours, tmp_path / "teacher", **LEARNING, validation=colours)
    flat = tmp_path / "flat"
    flat.mkdir()
    for index, path in enumerate(sorted(colours.rglob("*.png"))):
        (flat / f"{index}.png").write_bytes(path.read_bytes())

    student = quick(flat, tmp_path / "student", teacher=str(teacher.model), **LEARNING, validation=flat)

    assert student.figure == "agreement"
    assert student.best.validation > 0.9
    assert models.load(str(student.model)).labels == tuple(sorted(COLOURS))


def test_teacher_of_another_task_or_shape_is_refused(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the teacher is for embedding, the model for image-class"):
        quick(colours, tmp_path / "run", teacher="mobilenet_v1_face_embedding", teacher_weights="random")
    with pytest.raises(InputError, match="there is no such model"):
        quick(colours, tmp_path / "run", teacher="mobilenet_v9")
    with pytest.raises(InputError, match="several"):
        quick(
            colours,
            tmp_path / "run",
            teacher="ssd_mobilenet_v1",
            teacher_weights="random",
            task="object-detection",
        )

    assert not (tmp_path / "run").exists()


def test_mixed_precision_trains_in_it_and_keeps_float32(colours: Path, tmp_path: Path) -> None:
    plain, mixed = (
        quick(colours, tmp_path / arithmetic, arithmetic=arithmetic, epochs=1)
        for arithmetic in ("fp32", "bf16")
    )

    assert plain.last.read_bytes() != mixed.last.read_bytes()
    assert {value.dtype for value in load_file(mixed.last).values()} <= {torch.float32, torch.int64}


def torchrun(arguments: list[str], processes: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
            "-m", "mobiledeploy.deploy", "train", "mobilenet_v1", "--width", "0.25",
            "--device", "cpu", *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_share_the_batches_and_resume(colours: Path, tmp_path: Path) -> None:
    common = ["--data", str(colours), "--validation", str(colours), "--epochs", "50"]
    common += ["--batch-size", "12", "--learning-rate", "0.01"]
    common += ["--settings", '{"optimizer": "adamw", "schedule": "cosine"}', "--resolution", "64"]
    done = torchrun([*common, "-o", str(tmp_path / "run")])

    assert done.returncode == 0, done.stderr
    epochs = RunFolder(tmp_path / "run").epochs()
    assert len(epochs) == 50
    assert epochs[-1].loss < epochs[0].loss
    assert max(epoch.validation for epoch in epochs) > 0.9
    assert done.stderr.count("epoch 50 of 50") == 1
    weights = (tmp_path / "run" / "last.safetensors").read_bytes()
    again = torchrun([*common, "-o", str(tmp_path / "run")])
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == weights


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(colours: Path, tmp_path: Path) -> None:
    """Without batch norms, whose statistics are each process's own."""
    (tmp_path / "plain_network.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(4, 3))\n"
    )
    common = [
        "train", "plain_network:make", "--resolution", "32", "--device", "cpu", "--task",
        "image-classification", "--preprocessing", "unit", "--data", str(colours), "--batch-size", "8",
        "--epochs", "2",
    ]  # fmt: skip
    for name, launcher in (
        ("one", []),
        ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]),
    ):
        command = [sys.executable, *launcher, "-m", "mobiledeploy.deploy", *common, "-o", name]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=300)

    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for key, value in one.items():
        assert np.allclose(value, two[key], atol=1e-5), key


@pytest.mark.slow
def test_batches_that_processes_cannot_share_are_refused(colours: Path, tmp_path: Path) -> None:
    done = torchrun(
        ["--data", str(colours), "--batch-size", "7", "--resolution", "32", "-o", str(tmp_path / "run")]
    )

    assert done.returncode != 0
    assert "7 images a batch cannot be shared by 2 processes" in done.stderr
    assert not (tmp_path / "run").exists()
