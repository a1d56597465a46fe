"""``evaluate`` of every task but classification: converted files, photos and truth, here and on a device."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_classifier import LABELS
from small_tasks import MODELS, task_file

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.evaluation import evaluate, evaluate_device
from mobiledeploy.device_tests import chunk_runs
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.tasks import METRICS
from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.runtimes.formats import open_session, read_artifact

IMAGES, IDENTITIES = 24, 6
TASKS = [task for task in METRICS if task != "image-classification"]
NAMES = [f"{index:02}.png" for index in range(IMAGES)]
FIRST = {
    "multi-label-classification": "mean AP",
    "geolocation": "within 200 km",
    "embedding": "TAR at FAR 0.05",
    "object-detection": "AP",
}


def _instances(random: np.random.Generator) -> str:
    def annotation(place: int) -> dict[str, Any]:
        left, top, width, height = (float(side) for side in random.uniform((0, 0, 5, 5), (15, 9, 15, 15)))
        box = {"bbox": [left, top, width, height], "area": width * height, "iscrowd": 0}
        return {"id": place, "image_id": place % IMAGES, "category_id": 1 + place % len(LABELS), **box}

    return json.dumps(
        {
            "images": [
                {"id": place, "file_name": name, "width": 30, "height": 24}
                for place, name in enumerate(NAMES)
            ],
            "categories": [{"id": place, "name": name} for place, name in enumerate(LABELS, 1)],
            "annotations": [annotation(place) for place in range(3 * IMAGES)],
        }
    )


@dataclass(frozen=True)
class Place:
    """A folder with a file and the truth of each task, and photos."""

    folder: Path

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    def file(self, task: str) -> Path:
        return self.folder / f"{task}.tflite"

    def labels(self, task: str) -> Path:
        return self.folder / f"{task}.labels"

    def command(self, task: str, *more: object) -> list[str]:
        words = ["evaluate", self.file(task), "--images", self.photos, "--labels", self.labels(task), *more]
        return [str(word) for word in words]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("tasks")
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for name in NAMES:
        pixels = random.integers(0, 255, (24, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / name)
    # The third one holds for no image.
    flags = np.stack([*random.integers(0, 2, (2, IMAGES)), np.zeros(IMAGES, int), np.arange(IMAGES) % 2])
    truths = {
        "multi-label-classification": ("file,Ant,Bee,Cat,Dog", [",".join(map(str, row)) for row in flags.T]),
        "geolocation": ("file,lat,lon", [f"{48.6 if i % 2 else 0},2.1" for i in range(IMAGES)]),
        "embedding": ("file,identity", [f"who{i % IDENTITIES}" for i in range(IMAGES)]),
    }
    for task, (head, rest) in truths.items():
        lines = [head, *map(",".join, zip(NAMES, rest, strict=True))]
        (folder / f"{task}.labels").write_text("\n".join(lines))
    (folder / "object-detection.labels").write_text(_instances(random))
    for task in MODELS:
        model = MODELS[task]()
        if task == "multi-label-classification":
            model = replace(model, labels=("Ant", "Bee", "Cat", "Dog"))
        task_file(folder, task, "tflite", model=model)
    return Place(folder)


@pytest.fixture
def place(made: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize(
    "task",
    [
        "embedding",
        "object-detection",
        pytest.param("geolocation", marks=pytest.mark.slow),
        pytest.param("multi-label-classification", marks=pytest.mark.slow),
    ],
)
def test_the_same_on_the_host_and_on_a_device_that_is_interrupted(
    place: Place, task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"labels": place.labels(task), "far": 0.05}
    here = evaluate(place.file(task), place.photos, **given)
    assert (here.task, here.headline.name, here.images) == (task, FIRST[task], IMAGES)
    launch, launched = chunk_runs.launch, []

    def once(*words: object, **options: object) -> object:
        if launched:
            raise DeviceError("unplugged", where="local")
        launched.append(1)
        return launch(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(chunk_runs, "launch", once)
    with pytest.raises(DeviceError, match="unplugged"):
        evaluate_device(place.file(task), place.photos, "local", **given)
    assert len(list((tmp_path / "state" / "mobiledeploy" / "evaluations").iterdir())) == 1
    monkeypatch.setattr(chunk_runs, "launch", launch)
    done: list[int] = []
    there = evaluate_device(
        place.file(task), place.photos, "local", progress=lambda now, _: done.append(now), **given
    )
    assert done[0] == 16
    assert there.predictions == here.predictions
    assert there.figures == here.figures
    assert there.host
    assert (there.host.same, there.host.identical) == (IMAGES, IMAGES)


def test_the_cell_is_that_of_the_best_score(place: Place) -> None:
    """Beside a file of the same weights, whose scores the predictions hold."""
    run = evaluate(place.file("geolocation"), place.photos, labels=place.labels("geolocation"))
    artifact = read_artifact(place.file("geolocation"))
    assert artifact.contract
    places = [tuple(map(float, label.split(","))) for label in artifact.contract.labels]
    tagger = evaluate(
        place.file("multi-label-classification"),
        place.photos,
        labels=place.labels("multi-label-classification"),
    )
    # The same weights: the best cell is the attribute of the highest score.
    for located, tagged in zip(run.predictions, tagger.predictions, strict=True):
        assert located.said == places[int(np.argmax(tagged.scores))]  # type: ignore[union-attr]


@pytest.mark.parametrize("task", TASKS)
def test_stored_listed_shown_plotted_and_in_a_report(
    place: Place, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*words: object) -> Any:
        assert main([*map(str, words), "--history", "runs.db", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    data = ask(*place.command(task, "--far", 0.05, "--label", "nightly", "--against", place.file(task)))
    first = data["figures"][0]
    assert (data["task"], first["name"], data["difference"]["points"]) == (task, FIRST[task], 0)
    assert data["difference"]["agreement"] == 1
    assert "predictions" not in data
    rows = ask("history", "list")["runs"]
    columns = [(row["metric"], row["value"], row["top1"]) for row in rows]
    assert columns == [(first["name"], first["value"], None)] * 2
    shown = ask("history", "show", rows[0]["id"])
    assert shown["run"]["figures"] == data["figures"]
    assert shown["run"]["predictions"]
    series = ask("history", "plot", "--kind", "accuracy")["series"]
    assert [point["median"] for point in series[0]["points"]] == [100 * first["value"]] * 2
    assert FIRST[task] in series[0]["label"]
    assert main(["history", "list", "--history", "runs.db"]) == 0
    assert FIRST[task] in capsys.readouterr().out
    assert main(["history", "plot", "--kind", "accuracy", "--history", "runs.db"]) == 0
    assert "Accuracy, %" in capsys.readouterr().out
    assert main(["history", "export", "--history", "runs.db"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("label,metric,value")
    assert main(["report", "--history", "runs.db", "--format", "md"]) == 0
    assert f"| {FIRST[task]}, % |" in capsys.readouterr().out


def test_what_a_person_reads(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def say(task: str, *more: object) -> str:
        assert main(place.command(task, *more)) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "left out Cat: hold for no image" in say("multi-label-classification")
    text = say("geolocation", "--against", place.file("geolocation"))
    assert "figure geolocation.tflite geolocation.tflite within 25 km" in text
    assert "bootstrap p 1 same prediction 100.0% of images" in text
    assert "AP75" in say("object-detection")


def test_a_task_may_be_said(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The best cell of a geolocating file as a class."""
    rows = "".join(f"{name},{index % 4}\n" for index, name in enumerate(NAMES))
    Path("classes.csv").write_text(rows)
    command = ["evaluate", str(place.file("geolocation")), "--images", str(place.photos)]
    assert main([*command, "--labels", "classes.csv", "--task", "image-classification", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["task"], data["figures"][0]["value"]) == ("image-classification", data["top1"]["share"])


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        ("embedding", (), r"240 pairs of different identities cannot tell .* 0\.001.*--far 0\.01"),
        ("embedding", ("--far", "2"), "the false-accept rate 2 is not between 0 and 1"),
        ("geolocation", ("--label-offset", "1"), "a label offset is of classifiers"),
        ("embedding", ("--task", "geolocation"), "there is no column latitude"),
    ],
)
def test_what_does_not_fit_is_told_before_the_work(
    place: Place, task: str, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(place.command(task, *more)) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert re.search(message, error)


def test_images_that_are_none_are_told_before_the_work(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((place.photos / name).read_bytes())
    (folder / NAMES[-1]).write_bytes(b"GIF")
    done: list[int] = []
    with pytest.raises(InputError, match=r"23\.png: this is no image"):
        evaluate(
            place.file("embedding"),
            folder,
            labels=place.labels("embedding"),
            far=0.05,
            progress=lambda now, _: done.append(now),
        )
    assert not done


def test_an_evaluator_that_is_not_there_is_told_before_the_work(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    done: list[int] = []
    with pytest.raises(EnvironmentProblem, match=r"pycocotools is not installed.*mobiledeploy\[metrics\]"):
        evaluate(
            place.file("object-detection"),
            place.photos,
            labels=place.labels("object-detection"),
            progress=lambda now, _: done.append(now),
        )
    assert not done


def test_outputs_that_no_decoder_knows(place: Place) -> None:
    with pytest.raises(UnsupportedError, match=r"no objects can be read from its outputs \(.*1x4\)"):
        evaluate(
            place.file("embedding"),
            place.photos,
            labels=place.labels("object-detection"),
            task="object-detection",
        )


def test_what_is_measured_in_top1_alone(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = task_file(tmp_path, "embedding", "tflite", precision="fp16")
    files = [str(half), str(place.file("embedding"))]
    command = ["gate", "--candidate", files[0], "--baseline", files[1], "--device", "local", "--no-store"]
    images = ["--images", str(place.photos), "--labels", str(place.labels("embedding"))]
    command += ["--max-top1-drop", "1", *images]
    assert main(command) == 4
    assert "--max-top1-drop is measured in top-1, the model is for" in capsys.readouterr().err


def test_a_package_says_what_was_measured(place: Place) -> None:
    task = "object-detection"
    assert main(place.command(task, "--history", "runs.db", "--label", "card")) == 0
    words = ["package", str(place.file(task)), "--platform", "linux", "--output", "out"]
    assert main([*words, "--history", "runs.db"]) == 0
    card = next(Path("out").rglob("MODEL_CARD.md")).read_text()
    engine = open_session(place.file(task)).engine
    assert re.search(rf"\| this host \| {engine} \| {IMAGES} \| AP \| \d\.\d% \|", card)
