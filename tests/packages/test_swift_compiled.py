"""The generated Swift under a compiler: types against stubs, and preprocessing to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile_labels import hostile_file
from PIL import Image
from small_classifier import small_classifier
from swift_compiler import inside, needs_swift, run, swiftc, work_folder

from mobiledeploy.contract import Preprocessing, Target, TensorSpec
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.packaging import package
from mobiledeploy.deploy.packages.plan import PackagePlan
from mobiledeploy.deploy.packages.platforms.ios.platform import Ios
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.preprocessing import to_input

pytestmark = [pytest.mark.swift, pytest.mark.slow, needs_swift]
STUBS = Path(__file__).parent / "swift_stubs"
SIZES = ((40, 61), (61, 40), (16, 16), (3, 5), (200, 18), (18, 200), (300, 90), (90, 301))
RULES = {
    "short side": Preprocessing(16, 16, resize_to=18, mean=(123.675, 116.28, 103.53), std=(58.4, 57.1, 57.4)),
    "stretch, BGR, bicubic": Preprocessing(
        20, 12, resize="stretch", interpolation="bicubic", channels="BGR", mean=(103.9, 116.8, 123.7)
    ),
    "gray, nearest": Preprocessing(
        16, 16, resize_to=17, interpolation="nearest", channels="L", mean=(33.3,), std=(64.1,)
    ),
    "a crop larger than the image": Preprocessing(24, 21, resize_to=16, mean=(0.5, 1.5, 2.5), std=(3.0,) * 3),
}


@pytest.fixture(scope="module")
def onnx_subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("onnx")
    return package(hostile_file(folder, "onnx"), "ios", folder / "p", name="PetFinder").subject


def swift_of(plan: PackagePlan, part: str) -> dict[str, str]:
    return {
        file.path.name: file.content.decode()
        for file in plan.files
        if file.path.suffix == ".swift" and file.path.parts[0] == part
    }


@pytest.mark.parametrize("kind", ["coreml", "pixels", "onnx", "tflite"])
def test_types(kind: str, tmp_path: Path) -> None:
    target: Target = kind if kind in ("onnx", "tflite") else "coreml"  # type: ignore[assignment]
    file = tmp_path / ("m.mlpackage" if target == "coreml" else f"m.{kind}")
    dtype = "uint8" if kind == "pixels" else None
    convert(small_classifier(), target=target, input_dtype=dtype, output=file, verify=False)  # type: ignore[arg-type]
    plan = package(file, "ios", tmp_path / "p", name="PetFinder").plan
    with work_folder() as folder:
        search = ("-I", inside(folder), "-parse-as-library", "-swift-version", "5")

        def make_module(name: str, files: dict[str, str], *options: str) -> str:
            place = f"{inside(folder)}/{name}.swiftmodule"
            options = (*options, "-emit-module", "-emit-module-path", place, "-module-name", name)
            return swiftc(folder, files, *search, *options)

        for stub in ("CoreGraphics", "CoreVideo", "CoreML", "OnnxRuntimeBindings", "TensorFlowLite"):
            make_module(stub, {f"{stub}.swift": (STUBS / f"{stub}.swift").read_text()})
        # A pod has its own.
        bundle = {} if kind == "tflite" else {"Bundle.swift": (STUBS / "Bundle.swift").read_text()}
        assert make_module("PetFinderModel", {**swift_of(plan, "Sources"), **bundle}, "-enable-testing") == ""
        tests = {**swift_of(plan, "Tests"), **bundle}
        assert swiftc(folder, tests, *search, "-typecheck", "-module-name", "PetFinderModelTests") == ""
        with pytest.raises(AssertionError, match="cannot convert value"):
            swiftc(folder, {"wrong.swift": 'let number: Int = "text"\n'}, *search, "-typecheck")


@pytest.mark.parametrize("rule", RULES)
def test_preprocessing_is_mobiledeploys_to_the_last_bit(rule: str, onnx_subject: Subject) -> None:
    chosen = RULES[rule]
    code = "[UInt8](ModelContract.encoding.floats(pixels).withUnsafeBytes { Data($0) })"
    spec = TensorSpec("x", (1, len(chosen.mean), chosen.height, chosen.width), "float32", "NCHW", "image")
    _compare(onnx_subject, chosen, spec, code)


def test_codes_are_mobiledeploys_to_the_last_bit(onnx_subject: Subject) -> None:
    chosen = RULES["short side"]
    spec = TensorSpec("x", (1, 16, 16, 3), "int8", "NHWC", "image", 0.0173, -3)
    code = "ModelContract.encoding.codes(pixels, scale: 0.0173, zeroPoint: -3, signed: true)"
    _compare(onnx_subject, chosen, spec, code)


def _compare(subject: Subject, rule: Preprocessing, spec: TensorSpec, code: str) -> None:
    contract = replace(subject.contract, inputs=(spec,), preprocessing=rule)
    generated = swift_of(Ios().plan(replace(subject, contract=contract, rule=rule)), "Sources")
    names = ("Preprocessing.swift", "ModelContract.swift", "Scores.swift")
    compare = (Path(__file__).parent / "Compare.swift").read_text()
    encoded = f"func encoded(_ pixels: [UInt8]) -> [UInt8] {{\n    {code}\n}}\n"
    files = {**{name: generated[name] for name in names}, "main.swift": compare}
    files["Encoded.swift"] = f"import Foundation\n{encoded}"
    images = [Image.fromarray(draw(*size)) for size in SIZES]
    with work_folder() as folder:
        swiftc(folder, files, "-o", f"{inside(folder)}/main")
        for number, image in enumerate(images):
            image.save(folder / f"{number}.ppm")
        run(f"{inside(folder)}/main", inside(folder), str(len(images)))
        for number, image in enumerate(images):
            wanted = to_input(image, rule, spec)
            found = np.fromfile(folder / f"{number}.bytes", wanted.dtype).reshape(wanted.shape)
            np.testing.assert_array_equal(found, wanted, err_msg=str(image.size))
