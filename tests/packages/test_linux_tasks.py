"""Linux packages of detectors, taggers, embedders and geolocators: what they decode, refuse and check."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from random_heads import RULES, heads
from small_classifier import LABELS
from small_tasks import ANCHORS, CROPPED, MODELS, PLACES, task_file
from test_linux_package import install, wheel_of

from mobiledeploy.contract import Target, Task, TensorSpec
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.manifest import MANIFEST
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.linux.platform import Linux
from mobiledeploy.deploy.packages.platforms.linux.values import RESERVED
from mobiledeploy.detection import decode, to_image
from mobiledeploy.images import find_images, load_image, spread
from mobiledeploy.preprocessing import to_input
from mobiledeploy.runtimes.formats import open_session, read_artifact

TASKS: tuple[Task, ...] = tuple(MODELS)
DETECTION: Task = "object-detection"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Task, Target], Path]:
    folder = tmp_path_factory.mktemp("files")
    found: dict[tuple[Task, Target], Path] = {
        (task, "tflite"): task_file(folder, task, "tflite") for task in TASKS
    }
    found[DETECTION, "onnx"] = task_file(folder, DETECTION, "onnx")
    return found


@pytest.fixture(scope="module")
def made(
    files: dict[tuple[Task, Target], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[Task, Target], Package]:
    """A package of each file; not to be changed."""
    folder = tmp_path_factory.mktemp("packages")
    return {key: package(file, "linux", folder / "-".join(key)) for key, file in files.items()}


Import = Callable[..., Any]


@pytest.fixture
def load(made: dict[tuple[Task, Target], Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports a package's generated code, under a name of its own."""
    counter = iter(range(99))

    def load_one(task: Task, **changes: Any) -> Any:
        subject = made[task, "tflite"].subject
        contract = replace(subject.contract, **changes)
        rule = contract.preprocessing or subject.rule
        name = f"Own{task[:5].title().replace('-', '')}{len(sys.modules)}N{next(counter)}"
        for file in Linux().plan(replace(subject, contract=contract, rule=rule, name=name)).files:
            path = tmp_path / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        (module,) = (tmp_path / name / "python").iterdir()
        monkeypatch.syspath_prepend(str(module.parent))
        importlib.invalidate_caches()
        loaded = importlib.import_module(module.name)
        return getattr(loaded, name), module.name

    return load_one


def problems(folder: Path) -> str:
    return "\n".join(problem for item in check_package(folder) for problem in item.problems)


def test_classes_are_named_by_their_tasks(made: dict[tuple[Task, Target], Package]) -> None:
    assert [made[task, "tflite"].subject.name for task in TASKS] == [
        "Tagger",
        "Geolocator",
        "Embedder",
        "Detector",
    ]


@pytest.mark.parametrize("key", [*((task, "tflite") for task in TASKS), (DETECTION, "onnx")])
def test_generated_python_is_for_39_and_names_only_reserved_classes(
    key: tuple[Task, Target], made: dict[tuple[Task, Target], Package]
) -> None:
    sources = sorted(made[key].folder.glob("python/*/*.py"))
    assert len(sources) == 8
    for source in sources:
        tree = ast.parse(source.read_text(), feature_version=(3, 9))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        classes = {name for name in names if name[0].isupper() and not name.isupper()}
        assert classes - {made[key].subject.name} <= RESERVED | set(dir(builtins)), source.name
    ruff = ["ruff", "check", "--isolated", "--target-version", "py39", "--line-length", "130"]
    command = [sys.executable, "-m", *ruff, "--select", "E,F,W,B,I,UP,RET", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", RULES)
def test_boxes_are_the_references(rule: str, load: Import) -> None:
    _, module = load(DETECTION, preprocessing=RULES[rule])
    detections = importlib.import_module(f"{module}.detections")
    counts = []
    for case in heads():
        given = [case.boxes[None], case.logits[None]]
        found = detections.decode(
            given, LABELS, case.size, case.score_threshold, case.iou_threshold, case.most
        )
        wanted = case.wanted(RULES[rule])
        counts.append(len(wanted))
        rows = np.array([(item.index, item.score, *item.box) for item in found]).reshape(-1, 6)
        np.testing.assert_allclose(rows, wanted, rtol=1e-12, atol=1e-9, err_msg=case.name)
        assert [item.label for item in found] == [LABELS[item.index] for item in found]
    # None, one, and as many as are allowed: all are tried.
    assert 0 in counts
    assert 5 in counts
    assert max(counts) == 180


def outputs_of(made_one: Package) -> tuple[TensorSpec, ...]:
    return made_one.subject.contract.outputs


def test_quantized_heads(load: Import, made: dict[tuple[Task, Target], Package]) -> None:
    codes = {"boxes": (0.05, 3), "classes": (0.1, -20)}
    specs = [
        replace(spec, dtype="int8", scale=codes[spec.name][0], zero_point=codes[spec.name][1])
        for spec in outputs_of(made[DETECTION, "tflite"])
    ]
    _, module = load(DETECTION, outputs=tuple(specs))
    detections = importlib.import_module(f"{module}.detections")
    case = heads()[0]
    given, real = [], {}
    for spec in specs:
        values = (case.boxes if spec.name == "boxes" else case.logits).astype(np.float64)
        scale, zero = codes[spec.name]
        given.append(np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)[None])
        real[spec.name] = scale * (given[-1][0].astype(np.float64) - zero)
    wanted = replace(case, boxes=real["boxes"], logits=real["classes"]).wanted(CROPPED)
    found = detections.decode(given, LABELS, case.size, 0.3, 0.6, 100)
    rows = np.array([(item.index, item.score, *item.box) for item in found])
    np.testing.assert_allclose(rows, wanted, rtol=1e-12, atol=1e-9)


def test_the_detector(load: Import, tmp_path: Path) -> None:
    detector_class, _ = load(DETECTION)
    with detector_class.load(threads=1) as detector:
        assert detector.labels == LABELS
        image = Image.fromarray(draw(61, 40))
        found = detector.detect(image)
        assert found
        assert all(0 <= item.box.left <= item.box.right <= 61 for item in found)
        assert all(0 <= item.box.top <= item.box.bottom <= 40 for item in found)
        assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
        assert detector.detect(image, score_threshold=1) == []
        assert len(detector.detect(image, max_results=2)) == 2
        # One that lies on its side has boxes of the upright image.
        side = tmp_path / "side.png"
        exif = Image.Exif()
        exif[0x112] = 8
        image.transpose(Image.Transpose.ROTATE_270).save(side, exif=exif)
        assert detector.detect(side) == found
        assert detector.detect(Image.new("RGB", (1, 1)))
        for name in ("score_threshold", "iou_threshold"):
            for value in (-0.1, 1.1, float("nan")):
                with pytest.raises(ValueError, match=f"{name} is {value}: give 0 to 1"):
                    detector.detect(image, **{name: value})
        with pytest.raises(ValueError, match="max_results is 0"):
            detector.detect(image, max_results=0)
    with pytest.raises(ValueError, match="this detector was closed"):
        detector.detect(image)


def test_the_tagger(load: Import) -> None:
    tagger_class, module = load("multi-label-classification")
    tags = importlib.import_module(f"{module}.tags")
    image = Image.fromarray(draw(61, 40))
    with tagger_class.load(threads=1) as tagger:
        preprocessing = importlib.import_module(f"{module}.preprocessing")
        logits = tagger.run(preprocessing.to_input(image)).reshape(-1).astype(np.float64)
        every = tagger.tag(image, 0)
        assert [item.index for item in every] == list(np.argsort(-logits, kind="stable"))
        np.testing.assert_allclose(
            [item.score for item in every], np.sort(1 / (1 + np.exp(-logits)))[::-1], rtol=1e-12
        )
        assert {item.label for item in tagger.tag(image)} == {
            label for label, logit in zip(LABELS, logits, strict=True) if logit >= 0
        }
        with pytest.raises(ValueError, match=r"threshold is 1\.5: give 0 to 1"):
            tagger.tag(image, 1.5)
    tied = tags.select(tags.decode(np.array([[0, 3, 0, -900]], np.float32)), LABELS, 0.5)
    assert [(item.index, item.score) for item in tied] == [(1, pytest.approx(0.952574)), (0, 0.5), (2, 0.5)]


def test_scores_without_a_meaning_are_passed_on(
    load: Import, made: dict[tuple[Task, Target], Package]
) -> None:
    (output,) = outputs_of(made["multi-label-classification", "tflite"])
    tagger_class, module = load("multi-label-classification", outputs=(replace(output, content=""),))
    tags = importlib.import_module(f"{module}.tags")
    np.testing.assert_array_equal(tags.decode(np.array([[1.0, -7, 300, 2]], np.float32)), [1, -7, 300, 2])
    with tagger_class.load(threads=1) as tagger:
        assert tagger.tag(Image.new("RGB", (20, 20)), 300) == []


def test_the_embedder(load: Import, made: dict[tuple[Task, Target], Package]) -> None:
    embedder_class, _ = load("embedding")
    image = Image.fromarray(draw(61, 40))
    with embedder_class.load(threads=1) as embedder:
        vector = embedder.embed(image)
        assert (vector.dtype, vector.shape) == (np.float32, (4,))
        assert embedder_class.similarity(vector, 3 * vector) == pytest.approx(1)
        assert embedder.similarity(vector, -vector) == pytest.approx(-1)
        assert embedder.similarity([1, 0], [0, 2]) == 0
        with pytest.raises(ValueError, match="cannot be compared"):
            embedder.similarity([1, 0], [0, 2, 3])
        with pytest.raises(ValueError, match="zeros"):
            embedder.similarity([1, 0], [0, 0])
    folder = made["embedding", "tflite"].folder
    assert not list(folder.rglob("labels.txt"))
    (manifest,) = folder.rglob(MANIFEST)
    assert json.loads(manifest.read_text())["labels"] is None


def test_the_geolocator(load: Import) -> None:
    geolocator_class, module = load("geolocation")
    places = importlib.import_module(f"{module}.places")
    scores = places.decode(np.array([[1, 5, 2, 5]], np.float32))
    found = places.best(scores, PLACES, 3)
    assert [(place.latitude, place.longitude) for place in found] == [(-33.91, 151.25), (89.5, 12), (0, -180)]
    assert sum(scores) == pytest.approx(1)
    with geolocator_class.load(threads=1) as geolocator:
        assert len(geolocator.locate(Image.fromarray(draw(61, 40)), 2)) == 2
        with pytest.raises(ValueError, match="max_results is 0"):
            geolocator.locate(Image.fromarray(draw(61, 40)), 0)


def answers(task: Task, file: Path, image: Image.Image) -> np.ndarray:
    """What the wheel has to print for an image, by mobiledeploy's own parts."""
    artifact = read_artifact(file)
    contract = artifact.contract
    assert contract
    assert contract.preprocessing
    session = open_session(file, threads=1)
    outputs = session.run([to_input(image, contract.preprocessing, session.inputs[0])])
    real = [
        (output.astype(np.float64) - (spec.zero_point or 0)) * (1.0 if spec.scale is None else spec.scale)
        for output, spec in zip(outputs, session.outputs, strict=True)
    ]
    if task == "embedding":
        return real[0].reshape(-1)
    if task == "object-detection":
        by_name = dict(zip((spec.name for spec in session.outputs), real, strict=True))
        found = decode(by_name["boxes"][0], by_name["classes"][0], ANCHORS)
        boxes = to_image(found.boxes, contract.preprocessing, image.size)[:, [1, 0, 3, 2]]
        return np.column_stack([found.classes, found.scores, boxes])
    scores = real[0].reshape(-1)
    if task == "geolocation":
        powers = np.exp(scores - scores.max())
        order = np.argsort(-scores, kind="stable")
        rows = [(*map(float, PLACES[i].split(",")), powers[i] / powers.sum()) for i in order]
        return np.array(rows)
    scores = 1 / (1 + np.exp(-scores))
    return np.array([(i, scores[i]) for i in np.argsort(-scores, kind="stable") if scores[i] >= 0.5])


CALLS: dict[Task, str] = {
    "multi-label-classification": "[(item.index, item.score) for item in opened.tag(image)]",
    "geolocation": "opened.locate(image)",
    "embedding": "opened.embed(image).tolist()",
    "object-detection": "[(item.index, item.score, *item.box) for item in opened.detect(image)]",
}


def run_wheel(made_one: Package, task: Task, images: list[Path], place: Path) -> list[np.ndarray]:
    """What an installed wheel answers, and whether it passes its own check there."""
    python = install(wheel_of(made_one.folder), place)
    name = made_one.subject.name
    code = (
        f"import json, sys, {name.lower()} as made\n"
        f"with made.{name}.load(threads=1) as opened:\n"
        f"    for image in sys.argv[1:]:\n        print(json.dumps({CALLS[task]}))\n"
    )
    command = [str(python), "-c", code, *map(str, images)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    assert done.returncode == 0, done.stderr
    check = [str(python), "-m", name.lower(), "--check"]
    checked = subprocess.run(check, capture_output=True, text=True, cwd=place, check=False)
    assert (checked.returncode, checked.stdout) == (0, "passed\n"), checked.stderr
    shown = subprocess.run(
        [str(python), "-m", name.lower(), str(images[0])],
        capture_output=True,
        text=True,
        cwd=place,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    golden = next(place.rglob("site-packages/*/golden/0.decoded"), None)
    if golden is not None:
        golden.write_text(golden.read_text().replace("0.", "0.1", 1))
        failed = subprocess.run(check, capture_output=True, text=True, cwd=place, check=False)
        assert failed.returncode == 1
        assert "decoded otherwise here" in failed.stderr
    return [np.array(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("key", [*((task, "tflite") for task in TASKS), (DETECTION, "onnx")])
def test_the_installed_wheel_answers_as_mobiledeploy_does(
    key: tuple[Task, Target],
    made: dict[tuple[Task, Target], Package],
    files: dict[tuple[Task, Target], Path],
    tmp_path: Path,
) -> None:
    task, _ = key
    images = []
    for number, size in enumerate(((61, 40), (320, 400), (1, 1))):
        images.append(tmp_path / f"{number}.png")
        Image.fromarray(draw(*size)).save(images[-1])
    found = run_wheel(made[key], task, images, tmp_path / "venv")
    for image, answer in zip(images, found, strict=True):
        wanted = answers(task, files[key], Image.open(image))
        np.testing.assert_allclose(answer.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.data
def test_an_int8_detector_on_photographs(data_dir: Path, tmp_path: Path) -> None:
    photos = spread(find_images(data_dir / "images" / "imagenet1k_sample_1000"), 12)
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in photos:
        load_image(photo).convert("RGB").save(folder / f"{photo.stem}.png")
    file = task_file(tmp_path, DETECTION, "tflite", precision="int8", calibration=folder)
    made_one = package(file, "linux", tmp_path / "package")
    assert {spec.dtype for spec in made_one.subject.outputs} == {"int8"}
    images = sorted(folder.iterdir())[:4]
    for image, answer in zip(images, run_wheel(made_one, DETECTION, images, tmp_path / "venv"), strict=True):
        wanted = answers(DETECTION, file, Image.open(image))
        assert len(wanted) > 3
        np.testing.assert_allclose(answer, wanted, rtol=1e-5, atol=1e-3)


def test_checks(made: dict[tuple[Task, Target], Package], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made[DETECTION, "tflite"].folder, tmp_path / "package"))
    assert problems(folder) == ""
    (labels,) = folder.rglob("labels.txt")
    text = labels.read_bytes()
    labels.write_bytes(text + b"one more\n")
    assert "labels.txt has 5 labels for 4 scores" in problems(folder)
    labels.write_bytes(text)
    (code,) = folder.rglob("detections.py")
    code.write_text(code.read_text().replace("-60, 60", "-6, 6"))
    assert "python/detector/detections.py is not what the contract says" in problems(folder)
    code.unlink()
    assert "python/detector/detections.py is not there" in problems(folder)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda contract: contract.pop("anchors"), "no anchors"),
        (lambda contract: contract["anchors"]["grids"].pop(), "44 anchors for 45 boxes"),
        (lambda contract: contract.update(labels=["a"]), "1 labels for 4 scores"),
        (lambda contract: contract["outputs"][0].update(name="other"), "has the outputs"),
        (lambda contract: contract.update(task="embedding"), "2 outputs"),
        (lambda contract: contract.update(task="other"), "no packages for the task other"),
    ],
)
def test_an_edited_contract(
    change: Callable[[dict[str, Any]], Any],
    wanted: str,
    made: dict[tuple[Task, Target], Package],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(made[DETECTION, "tflite"].folder, tmp_path / "package"))
    (manifest,) = folder.rglob(f"python/*/{MANIFEST}")
    data = json.loads(manifest.read_text(encoding="utf-8"))
    change(data["contract"])
    manifest.write_text(json.dumps(data), encoding="utf-8")
    assert main(["package", "--check", str(folder)]) == 3
    assert wanted in " ".join(capsys.readouterr().err.split())


def test_the_card_tells_the_task(made: dict[tuple[Task, Target], Package]) -> None:
    cards = {task: (made[task, "tflite"].folder / "MODEL_CARD.md").read_text() for task in TASKS}
    assert "| task | object detection, 4 classes |" in cards[DETECTION]
    assert "| `boxes` | 1x45x4 | float32 |" in cards[DETECTION]
    assert "| task | embedding, 4 numbers |" in cards["embedding"]
    assert "| task | geolocation, 4 places |" in cards["geolocation"]
    assert "each turned into a probability by the sigmoid" in cards["multi-label-classification"]
    assert all("mobiledeploy evaluate" in card for card in cards.values())
    assert not any("image classification" in card for card in cards.values())
