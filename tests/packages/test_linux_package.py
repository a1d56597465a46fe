"""The package for Linux boards: wheel, preprocessing, example in C, checks."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import shutil
import site
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_labels import HOSTILE, hostile_file
from PIL import Image
from small_classifier import small_classifier

from mobiledeploy.contract import Preprocessing, Target, TensorSpec
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.linux.platform import Linux
from mobiledeploy.deploy.packages.platforms.linux.values import RESERVED
from mobiledeploy.deploy.packages.platforms.linux.wheel import digest_of
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.preprocessing import to_input
from mobiledeploy.runtimes.formats import open_session
from mobiledeploy.runtimes.runner.engines import engine_library
from mobiledeploy.runtimes.runner.platforms import host_platform

TARGETS: tuple[Target, ...] = ("tflite", "onnx")
ENGINE_OF = {"tflite": "litert", "onnx": "onnxruntime"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {target: hostile_file(folder, target) for target in TARGETS}


@pytest.fixture(scope="module")
def made(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """A package of each format; not to be changed."""
    folder = tmp_path_factory.mktemp("packages")
    names = {"tflite": "PetFinder", "onnx": "OnnxPets"}
    return {
        target: package(files[target], "linux", folder / target, name=names[target]) for target in TARGETS
    }


@pytest.fixture
def copy(made: dict[str, Package], tmp_path: Path) -> Path:
    """A package that may be changed."""
    return Path(shutil.copytree(made["tflite"].folder, tmp_path / "package"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG whose EXIF says that it lies on its side."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(draw(61, 40)).save(path, exif=exif)
    return path


def wheel_of(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with this wheel, and with what it requires from where the tests run."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages" / "required.pth").write_text(
        "\n".join(site.getsitepackages())
    )
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", str(wheel)], check=True)
    return python


def scores_here(file: Path, image: Path) -> np.ndarray:
    """Probabilities by mobiledeploy's own preprocessing and session."""
    session = open_session(file, threads=1)
    rule = small_classifier().preprocessing
    assert rule
    with Image.open(image) as opened:
        (logits,) = session.run([to_input(opened, rule, session.inputs[0])])
    powers = np.exp(logits.astype(np.float64) - logits.max())
    result: np.ndarray = (powers / powers.sum()).reshape(-1)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_installed_wheel_classifies_as_mobiledeploy_does(
    target: str, made: dict[str, Package], files: dict[str, Path], photo: Path, tmp_path: Path
) -> None:
    subject = made[target].subject
    python = install(wheel_of(made[target].folder), tmp_path / "venv")
    module = {"tflite": "pet_finder", "onnx": "onnx_pets"}[target]
    code = (
        f"import json, sys, {module} as made\n"
        f"with made.{subject.name}.load(threads=1) as classifier:\n"
        "    found = classifier.classify(sys.argv[1])\n"
        "print(json.dumps([made.__file__, [tuple(item) for item in found]]))\n"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), *words], capture_output=True, text=True, cwd=tmp_path, check=False
        )

    place, found = json.loads(run("-c", code, str(photo)).stdout)
    assert Path(place).is_relative_to(tmp_path / "venv")
    wanted = scores_here(files[target], photo)
    assert [index for index, _, _ in found] == list(np.argsort(-wanted))
    assert [label for _, label, _ in found] == [HOSTILE[index] for index, _, _ in found]
    np.testing.assert_allclose([score for _, _, score in found], np.sort(wanted)[::-1], rtol=1e-5)

    said = run("-m", module, "--check")
    assert (said.returncode, said.stdout) == (0, "passed\n"), said.stderr
    told = run("-m", module, "--most", "2", str(photo), "none.jpg")
    assert told.returncode == 1
    assert told.stdout.count("\n") == 3
    assert f"{found[0][2]:.4f}  {HOSTILE[found[0][0]]}" in told.stdout
    assert "none.jpg" in told.stderr

    installed = Path(place).parent
    assert [item.problems for item in check_package(installed.parent)] == [()]
    (installed / "golden" / "0.input").write_bytes(bytes((installed / "golden" / "0.input").stat().st_size))
    failed = run("-m", module, "--check")
    assert failed.returncode == 1
    assert "0.ppm became another input" in failed.stderr


RULES = {
    "short side": Preprocessing(16, 16, resize_to=18, mean=(127.5,) * 3, std=(127.5,) * 3),
    "stretch, BGR, bicubic": Preprocessing(
        20, 12, resize="stretch", interpolation="bicubic", channels="BGR", mean=(103.9, 116.8, 123.7)
    ),
    "grey, nearest": Preprocessing(
        16, 16, resize_to=17, interpolation="nearest", channels="L", mean=(33.3,), std=(64.1,)
    ),
    "a crop larger than the image": Preprocessing(24, 21, resize_to=16, mean=(0.5, 1.5, 2.5), std=(3.0,) * 3),
}
STORAGE = {
    "float32": (None, None),
    "uint8": (0.0078125, 128),
    "int8": (0.0173, -3),
    "pixels": (None, None),
}


def inputs() -> Iterator[Image.Image]:
    for size in ((40, 61), (61, 40), (16, 16), (3, 5), (200, 18)):
        yield Image.fromarray(draw(*size))
    colours = Image.fromarray(draw(50, 33))
    alpha = colours.convert("RGBA")
    alpha.putalpha(colours.convert("L"))
    yield from (
        alpha,
        colours.convert("P"),
        colours.convert("L"),
        colours.convert("CMYK"),
        colours.convert("1"),
    )
    for orientation in range(1, 9):
        turned = colours.copy()
        turned.getexif()[0x112] = orientation
        yield turned


def generated(subject: Subject, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The generated ``preprocessing`` of a subject."""
    for file in Linux().plan(subject).files:
        if file.path.parts[0] == "python":
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
    monkeypatch.syspath_prepend(str(folder / "python"))
    importlib.invalidate_caches()
    (module,) = (path.name for path in (folder / "python").iterdir())
    return importlib.import_module(f"{module}.preprocessing")


@pytest.mark.parametrize(("storage", "layout"), [*product(STORAGE, ["NHWC"]), ("float32", "NCHW")])
@pytest.mark.parametrize("rule", RULES)
def test_preprocessing_is_mobiledeploys_to_the_last_bit(
    rule: str,
    storage: str,
    layout: str,
    made: dict[str, Package],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = RULES[rule]
    if storage == "pixels":
        chosen = chosen.raw_pixels()
    sides = (chosen.height, chosen.width)
    count = len(chosen.mean)
    shape = (1, *sides, count) if layout == "NHWC" else (1, count, *sides)
    scale, zero_point = STORAGE[storage]
    dtype = "uint8" if storage == "pixels" else storage
    spec = TensorSpec("x", shape, dtype, layout, "image", scale, zero_point)
    subject = made["tflite"].subject
    contract = replace(subject.contract, inputs=(spec,), preprocessing=chosen)
    number = [*RULES].index(rule) * 8 + [*STORAGE].index(storage) * 2 + (layout == "NCHW")
    subject = replace(subject, contract=contract, rule=chosen, name=f"Rule{number}")
    ours = generated(subject, tmp_path, monkeypatch)
    for image in inputs():
        wanted = to_input(image, chosen, spec)
        found = ours.to_input(image)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
        assert found.flags.c_contiguous


def test_images_that_are_none(
    made: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = generated(replace(made["tflite"].subject, name="Refuses"), tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="more than 8 bits"):
        ours.to_input(Image.new("I;16", (20, 20)))
    with pytest.raises(ValueError, match="almost a line"):
        ours.to_input(Image.new("L", (10_000_000, 1)))
    whole = tmp_path / "whole.png"
    Image.fromarray(draw(60, 60)).save(whole)
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises((OSError, ValueError)):
        ours.to_input(damaged)
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(OSError, match="cannot identify"):
        ours.to_input(tmp_path / "page.eps")


def test_the_class(made: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated(replace(made["tflite"].subject, name="Held"), tmp_path, monkeypatch)
    held = importlib.import_module("held")
    classifier = held.Held.load(threads=1)
    assert classifier.labels == HOSTILE
    image = Image.fromarray(draw(30, 30))
    assert len(classifier.classify(image, 2)) == 2
    assert sum(item.score for item in classifier.classify(image)) == pytest.approx(1)
    with pytest.raises(ValueError, match="max_results is 0"):
        classifier.classify(image, 0)
    with pytest.raises(ValueError, match="threads is 0"):
        held.Held.load(threads=0)
    classifier.close()
    classifier.close()
    with pytest.raises(ValueError, match="closed"):
        classifier.classify(image)


@pytest.mark.parametrize("target", TARGETS)
def test_generated_python_is_for_39_and_names_only_reserved_classes(
    target: str, made: dict[str, Package]
) -> None:
    sources = sorted(made[target].folder.glob("python/*/*.py"))
    assert len(sources) == 8
    for source in sources:
        tree = ast.parse(source.read_text(), feature_version=(3, 9))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        classes = {name for name in names if name[0].isupper() and not name.isupper()}
        assert classes - {made[target].subject.name} <= RESERVED | set(dir(builtins)), source.name
    ruff = ["ruff", "check", "--isolated", "--target-version", "py39", "--line-length", "130"]
    command = [sys.executable, "-m", *ruff, "--select", "E,F,W,B,I,UP,RET", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_same_file_gives_the_same_bytes(
    files: dict[str, Path], made: dict[str, Package], tmp_path: Path
) -> None:
    again = package(files["tflite"], "linux", tmp_path / "elsewhere", name="PetFinder").folder
    first = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    folder = made["tflite"].folder
    assert first == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", ["Json", "Numpy", "PIL", "Lambda", "Onnxruntime"])
def test_names_that_python_has_already(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there already"):
        package(files["tflite"], "linux", tmp_path / "p", name=name)
    with pytest.raises(InputError, match="meaning of its own"):
        package(files["tflite"], "linux", tmp_path / "p", name="Category")
    assert not (tmp_path / "p").exists()


def test_a_format_for_other_platforms(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="--target tflite or onnx"):
        package(hostile_file(tmp_path, "coreml"), "linux", tmp_path / "p")


@pytest.mark.parametrize("target", TARGETS)
def test_a_wheel_by_itself_passes_its_check(target: str, made: dict[str, Package], tmp_path: Path) -> None:
    (checked,) = check_package(wheel_of(made[target].folder))
    assert checked.problems == ()
    assert checked.manifest.platform == "linux"


def rewrite(wheel: Path, change: dict[str, bytes | None]) -> None:
    with zipfile.ZipFile(wheel) as old:
        content: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(wheel, "w") as new:
        for name, data in {**content, **change}.items():
            if data is not None:
                new.writestr(name, data)


def test_checks_of_a_wheel(copy: Path) -> None:
    wheel = wheel_of(copy)
    info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"

    def problems(change: dict[str, bytes | None]) -> str:
        kept = wheel.read_bytes()
        rewrite(wheel, change)
        (checked,) = check_package(wheel)
        wheel.write_bytes(kept)
        return "\n".join(checked.problems)

    assert "pet_finder/scores.py is not as" in problems({"pet_finder/scores.py": b"x"})
    assert "pet_finder/more.py is not as" in problems({"pet_finder/more.py": b""})
    assert "pet_finder/scores.py is not there" in problems({"pet_finder/scores.py": None})
    assert "pip cannot install it" in problems({f"{info}/RECORD": None})
    with zipfile.ZipFile(wheel) as archive:
        metadata, record = archive.read(f"{info}/METADATA"), archive.read(f"{info}/RECORD")
    other = metadata.replace(b"Requires-Dist: ai-edge-litert", b"Requires-Dist: tensorflow")
    said = problems({f"{info}/METADATA": other})
    assert f"{info}/METADATA is not as" in said
    assert "lacks 'Requires-Dist: ai-edge-litert" in said
    signed = record.replace(digest_of(metadata).encode(), digest_of(other).encode())
    assert "METADATA is not as" not in problems({f"{info}/METADATA": other, f"{info}/RECORD": signed})
    assert problems({}) == ""


def test_checks_of_a_folder(copy: Path) -> None:
    def problems() -> str:
        return "\n".join(problem for item in check_package(copy) for problem in item.problems)

    assert problems() == ""
    header = copy / "c" / "contract.h"
    text = header.read_text()
    header.write_text(text.replace("CLASSES = 4", "CLASSES = 5"))
    assert "c/contract.h is not what the contract says" in problems()
    header.unlink()
    assert "c/contract.h is not there" in problems()
    header.write_text(text)
    source = copy / "python" / "pet_finder" / "scores.py"
    source.write_text(source.read_text() + "\n")
    assert "python/pet_finder/scores.py is not the one in pet_finder-" in problems()
    wheel = wheel_of(copy)
    wheel.rename(copy / "old.whl")
    assert "here is old.whl" in problems()
    (copy / "old.whl").unlink()
    assert "here is none" in problems()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_example_in_c(
    target: str, made: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled as its README says, on this host, with the engine's library from the wheel."""
    folder = Path(shutil.copytree(made[target].folder, tmp_path / "package")) / "c"
    compiler = f"{sys.executable} -m ziglang cc"
    subprocess.run(["make", f"CC={compiler}", "CFLAGS=-O2 -Werror"], cwd=folder, check=True)
    library = engine_library(ENGINE_OF[target], host_platform()).path
    run = ["make", "--silent", "run", f"CC={compiler}", f"LIBRARY={library}"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    lines = [line.strip().split("  ", 1) for line in done.stdout.splitlines()]
    subject = made[target].subject
    logits = subject.golden[0].output.astype(np.float64).reshape(-1)
    wanted = np.exp(logits) / np.exp(logits).sum()
    order = np.argsort(-wanted)
    assert [label for _, label in lines] == [HOSTILE[index] for index in order]
    np.testing.assert_allclose([float(score) for score, _ in lines], wanted[order], atol=6e-5)

    short = tmp_path / "short.input"
    short.write_bytes(b"12345")
    words = [
        str(library),
        str(made[target].folder / f"python/{'pet_finder' if target == 'tflite' else 'onnx_pets'}"),
    ]
    model = f"{words[1]}/{subject.model_name}"
    failed = subprocess.run(
        ["./classify", str(library), model, f"{words[1]}/labels.txt", str(short)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 67
    assert failed.stdout == ""
    assert "short.input does not hold the 3072 bytes" in failed.stderr
