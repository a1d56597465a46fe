"""The Swift package: syntax, resources, systems, checks, and the model in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile_labels import HOSTILE, hostile_file
from PIL import Image
from small_classifier import small_classifier
from swift_syntax import errors, parse, strings, type_names

from mobiledeploy.contract import Preprocessing, Target, TensorSpec
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.ios.platform import Ios
from mobiledeploy.deploy.packages.platforms.ios.swift import RESERVED, string
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import open_session

TARGETS: tuple[Target, ...] = ("coreml", "onnx", "tflite")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """A package of each format; not to be changed."""
    folder = tmp_path_factory.mktemp("ios")
    return {
        target: package(hostile_file(folder, target), "ios", folder / target, name="PetFinder")
        for target in TARGETS
    }


@pytest.fixture
def copy(made: dict[str, Package], tmp_path: Path) -> Path:
    """A package that may be changed."""
    return Path(shutil.copytree(made["coreml"].folder, tmp_path / "package"))


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.swift"))


def problems(folder: Path) -> str:
    (checked,) = check_package(folder)
    return "\n".join(checked.problems)


@pytest.mark.parametrize("target", TARGETS)
def test_all_swift_parses(target: str, made: dict[str, Package]) -> None:
    found = sources(made[target].folder)
    assert len(found) == (11 if target == "tflite" else 10)
    assert [error for path in found for error in errors(path)] == []


def test_what_is_no_swift_is_seen(copy: Path) -> None:
    for path in sources(copy):
        path.write_text(path.read_text().replace("{", "", 1))
        assert errors(path) or path.name == "Package.swift"
    package_file = copy / "Package.swift"
    package_file.write_text(package_file.read_text().replace("(", "", 1))
    assert errors(package_file)


RAW = Preprocessing(16, 12, resize="stretch", interpolation="bicubic", channels="BGR")
GRAY = Preprocessing(16, 12, resize_to=17, interpolation="nearest", channels="L", mean=(1e-7,), std=(64.1,))
HOSTILE_NAME = 'in "put" \\(1) \n🦊'
VARIANTS: dict[str, tuple[Target, Preprocessing, TensorSpec, TensorSpec]] = {
    "onnx, int8": (
        "onnx",
        replace(RAW, mean=(103.9,) * 3),
        TensorSpec(HOSTILE_NAME, (1, 3, 16, 12), "int8", "NCHW", "image", 0.017, -3),
        TensorSpec("out", (1, 4), "int8", "", "logits", 0.1, 7),
    ),
    "onnx, pixels": (
        "onnx",
        RAW,
        TensorSpec("x", (1, 16, 12, 3), "uint8", "NHWC", "image"),
        TensorSpec("out", (1, 4), "uint8", "", "probabilities", 1 / 256, 0),
    ),
    "tflite, int8": (
        "tflite",
        RAW,
        TensorSpec("x", (1, 16, 12, 3), "int8", "NHWC", "image", 0.017, -3),
        TensorSpec("out", (1, 4), "int8", "", "logits", 0.1, 7),
    ),
    "core ml, gray": (
        "coreml",
        GRAY,
        TensorSpec("image", (1, 1, 16, 12), "float32", "NCHW", "image"),
        TensorSpec("out", (1, 4), "float32"),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_contracts_parse_too(
    variant: str, made: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rule, source, result = VARIANTS[variant]
    subject = made[target].subject
    result = replace(result, name=subject.output.name)
    contract = replace(subject.contract, inputs=(source,), outputs=(result,), preprocessing=rule)
    for file in Ios().plan(replace(subject, contract=contract, rule=rule)).files:
        if file.path.suffix == ".swift":
            path = tmp_path / file.path.name
            path.write_bytes(file.content)
            assert errors(path) == []


def test_string_literals() -> None:
    assert string('say "hi"') == '"say \\u{22}hi\\u{22}"'
    assert string("\\(1 + 1)\n🦊 %d") == '"\\u{5c}(1 + 1)\\u{a}\\u{1f98a} %d"'
    assert not parse(f"let a = {string(HOSTILE_NAME)}".encode()).has_error


def test_labels_are_data_not_code(made: dict[str, Package]) -> None:
    folder = made["coreml"].folder
    resources = folder / "Sources" / "PetFinderModel" / "Resources"
    assert (resources / "labels.txt").read_bytes().decode().split("\n") == [*HOSTILE, ""]
    assert not any(label in path.read_text() for path in sources(folder) for label in HOSTILE)


@pytest.mark.parametrize("target", TARGETS)
def test_names_of_the_generated_code_are_reserved(target: str, made: dict[str, Package]) -> None:
    found = {name for path in sources(made[target].folder) for name in type_names(path)}
    assert "ModelContract" in found
    assert found - {"PetFinder", "PetFinderTests", "testable"} <= RESERVED


def test_a_reserved_name(made: dict[str, Package], tmp_path: Path) -> None:
    model = made["onnx"].folder / "Sources" / "PetFinderModel" / "Resources" / "model.onnx"
    with pytest.raises(InputError, match="meaning of its own"):
        package(model, "ios", tmp_path / "p", name="Engine")


@pytest.mark.parametrize("target", ["coreml", "onnx"])
def test_what_package_swift_names_is_there(target: str, made: dict[str, Package]) -> None:
    folder = made[target].folder
    named = {text for text in strings(folder / "Package.swift") if text.startswith("Resources/")}
    assert named == {
        f"Resources/{name}"
        for name in (made[target].subject.model_name, "labels.txt", "mobiledeploy-package.json")
    }
    for text in named:
        assert (folder / "Sources" / "PetFinderModel" / text).exists()
    assert (folder / "Tests" / "PetFinderModelTests" / "Golden" / "golden.json").is_file()


def vectors(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    golden = folder / "Tests" / "PetFinderModelTests" / "Golden"
    index = json.loads((golden / "golden.json").read_text())
    for vector in index["vectors"]:
        yield tuple(  # type: ignore[misc]
            np.fromfile(golden / vector[kind], index[kind]["dtype"]).reshape(index[kind]["shape"])
            for kind in ("input", "output")
        )


@pytest.mark.parametrize("target", TARGETS)
def test_the_model_inside_gives_the_golden_outputs(target: str, made: dict[str, Package]) -> None:
    folder = made[target].folder
    model = folder / "Sources" / "PetFinderModel" / "Resources" / made[target].subject.model_name
    session = open_session(model, threads=1)
    pairs = list(vectors(folder))
    assert len(pairs) == 2
    for given, wanted in pairs:
        (found,) = session.run([given])
        np.testing.assert_array_equal(found, wanted)
    assert not np.array_equal(pairs[0][1], pairs[1][1])


def test_the_oldest_system_is_read_from_the_file(made: dict[str, Package]) -> None:
    text = (made["coreml"].folder / "Package.swift").read_text()
    assert '.iOS("15.0"), .macOS("12.0")' in text


@pytest.mark.slow
def test_int8_arithmetic_needs_ios_17(tmp_path: Path) -> None:
    file, photos = tmp_path / "int8.mlpackage", tmp_path / "photos"
    photos.mkdir()
    for size in range(30, 50):
        Image.fromarray(draw(size, 40)).save(photos / f"{size}.png")
    convert(
        small_classifier(), target="coreml", precision="int8", calibration=photos, output=file, verify=False
    )
    folder = package(file, "ios", tmp_path / "p").folder
    declared = folder / "Package.swift"
    assert '.iOS("17.0"), .macOS("14.0")' in declared.read_text()
    declared.write_text(declared.read_text().replace('"17.0"', '"16.4"'))
    assert "promises iOS 16.4, the model needs iOS 17.0" in problems(folder)
    declared.write_text(declared.read_text().replace('.iOS("16.4")', ".iOS(.v18)"))
    assert problems(folder) == ""


def test_an_image_input(tmp_path: Path) -> None:
    file = tmp_path / "pixels.mlpackage"
    convert(small_classifier(), target="coreml", input_dtype="uint8", output=file, verify=False)
    folder = package(file, "ios", tmp_path / "p").folder
    engine = (folder / "Sources" / "ClassifierModel" / "Engine.swift").read_text()
    assert "MLFeatureValue(pixelBuffer: buffer)" in engine
    assert [error for path in sources(folder) for error in errors(path)] == []


def test_the_same_file_gives_the_same_bytes(made: dict[str, Package], tmp_path: Path) -> None:
    folder = made["coreml"].folder
    model = folder / "Sources" / "PetFinderModel" / "Resources" / "model.mlpackage"
    again = package(model, "ios", tmp_path / "elsewhere", name="PetFinder").folder
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_podspec_names_what_is_there(made: dict[str, Package], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made["tflite"].folder, tmp_path / "pod"))
    podspec = folder / "PetFinderModel.podspec"
    text = podspec.read_text()
    named = [word for word in re.findall(r'"([^"]+)"', text) if word.startswith(("Sources/", "Tests/"))]
    assert len(named) == 4
    assert all(list(folder.glob(word)) for word in named)
    assert problems(folder) == ""
    podspec.write_text(text.replace('"15.0"', '"11.0"').replace("Resources/*", "Resources/*.txt"))
    assert "does not name Sources/PetFinderModel/Resources/*" in problems(folder)
    assert "promises iOS 11.0" in problems(folder)
    podspec.unlink()
    assert "PetFinderModel.podspec is not there" in problems(folder)


def test_checks(copy: Path) -> None:
    assert problems(copy) == ""
    inside = copy / "Sources" / "PetFinderModel"
    declared, contract = copy / "Package.swift", inside / "ModelContract.swift"
    text = declared.read_text()
    declared.write_text(text.replace('.process("Resources/model.mlpackage")', '.copy("Resources/other.bin")'))
    assert "does not name Resources/model.mlpackage" in problems(copy)
    assert "names the resource Resources/other.bin, which is not there" in problems(copy)
    declared.write_text(text.replace('.iOS("15.0")', ".iOS(.v14)"))
    assert "promises iOS 14, the model needs iOS 15.0" in problems(copy)
    declared.unlink()
    assert "Package.swift is not there" in problems(copy)
    declared.write_text(text)
    contract.write_text(contract.read_text().replace("shortSide: 18", "shortSide: 20"))
    assert "ModelContract.swift is not what the contract says" in problems(copy)
    weights = (
        inside / "Resources" / "model.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    )
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "the model's sha256 is" in problems(copy)
    (inside / "Resources" / "labels.txt").unlink()
    assert "the labels labels.txt are not there" in problems(copy)
