"""Swift packages of detectors, taggers, embedders and geolocators: parsed, checked, compiled, decoding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from random_heads import RULES, heads
from small_tasks import MODELS, task_file
from swift_compiler import inside, needs_swift, run, swiftc, work_folder
from swift_syntax import errors, strings, type_names
from test_swift_compiled import STUBS, swift_of

from mobiledeploy.contract import Target, Task
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.ios.swift import RESERVED
from mobiledeploy.runtimes.formats import open_session

DETECTION: Task = "object-detection"
KINDS: tuple[tuple[Target, Task], ...] = (
    *(("coreml", task) for task in MODELS),
    ("onnx", DETECTION),
    ("tflite", DETECTION),
    ("onnx", "multi-label-classification"),
)
Made = dict[tuple[Target, Task], Package]
compiled_test = [pytest.mark.slow, pytest.mark.swift, needs_swift]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A package of each; not to be changed."""
    folder = tmp_path_factory.mktemp("ios")
    return {
        (target, task): package(task_file(folder, task, target), "ios", folder / f"{target}-{task}")
        for target, task in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_all_swift_parses_and_names_are_reserved(kind: tuple[Target, Task], made: Made) -> None:
    found = sorted(made[kind].folder.rglob("*.swift"))
    assert len(found) == (13 if kind[0] == "tflite" else 12)
    assert [error for path in found for error in errors(path)] == []
    name = made[kind].subject.name
    types = {each for path in found for each in type_names(path)}
    assert types - {name, f"{name}Tests", "testable"} <= RESERVED


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_inside_gives_the_golden_outputs(kind: tuple[Target, Task], made: Made) -> None:
    subject, folder = made[kind].subject, made[kind].folder
    (golden,) = folder.rglob("golden.json")
    index = json.loads(golden.read_text())
    (model,) = folder.glob(f"Sources/*/Resources/{subject.model_name}")
    session = open_session(model, threads=1)
    keys = [key for key in index if key.startswith("output")]
    assert len(keys) == len(subject.outputs)
    for vector in index["vectors"]:
        given = np.fromfile(golden.parent / vector["input"], index["input"]["dtype"])
        for key, output in zip(keys, session.run([given.reshape(index["input"]["shape"])]), strict=True):
            assert (golden.parent / vector[key]).read_bytes() == output.tobytes()


def test_resources(made: Made) -> None:
    labels = "Resources/labels.txt"
    assert labels in strings(made["coreml", DETECTION].folder / "Package.swift")
    assert labels not in strings(made["coreml", "embedding"].folder / "Package.swift")


def test_checks(made: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made["coreml", DETECTION].folder, tmp_path / "package"))
    (code,) = folder.rglob("ModelContract.swift")
    code.write_text(code.read_text().replace("rows: 4", "rows: 5"))
    (checked,) = check_package(folder)
    assert [problem.rpartition("/")[2] for problem in checked.problems] == [
        "ModelContract.swift is not what the contract says"
    ]


class TestCompiled:
    pytestmark = compiled_test

    def test_types(self, made: Made) -> None:
        with work_folder() as folder:
            search = ("-I", inside(folder), "-parse-as-library", "-swift-version", "5")

            def make_module(name: str, files: dict[str, str], *options: str) -> str:
                place = f"{inside(folder)}/{name}.swiftmodule"
                options = (*options, "-emit-module", "-emit-module-path", place, "-module-name", name)
                return swiftc(folder, files, *search, *options)

            for engine in ("CoreGraphics", "CoreVideo", "CoreML", "OnnxRuntimeBindings", "TensorFlowLite"):
                make_module(engine, {f"{engine}.swift": (STUBS / f"{engine}.swift").read_text()})
            stub = {"Bundle.swift": (STUBS / "Bundle.swift").read_text()}
            for kind in KINDS[:-1]:
                # A pod has its own.
                bundle = {} if kind[0] == "tflite" else stub
                plan, module = made[kind].plan, f"{made[kind].subject.name}Model"
                assert make_module(module, {**swift_of(plan, "Sources"), **bundle}, "-enable-testing") == ""
                tests = {**swift_of(plan, "Tests"), **bundle}
                assert swiftc(folder, tests, *search, "-typecheck", "-module-name", f"{module}Tests") == ""

    def test_boxes_are_the_references(self, made: Made) -> None:
        generated = swift_of(made["onnx", DETECTION].plan, "Sources")
        names = ("Preprocessing.swift", "ModelContract.swift", "Scores.swift", "Detections.swift")
        decode = (Path(__file__).parent / "DecodeHeads.swift").read_text()
        cases = [(name, rule, case) for name, rule in RULES.items() for case in heads()]
        with work_folder() as folder:
            swiftc(
                folder,
                {**{name: generated[name] for name in names}, "main.swift": decode},
                *("-O", "-o", f"{inside(folder)}/main"),
            )
            for number, (_, rule, case) in enumerate(cases):
                (folder / f"{number}.boxes").write_bytes(case.boxes.tobytes())
                (folder / f"{number}.logits").write_bytes(case.logits.tobytes())
                short = rule.resize_to if rule.resize == "short-side" else 0
                words = (*case.size, case.score_threshold, case.iou_threshold, case.most)
                (folder / f"{number}.case").write_text(
                    " ".join(map(str, (*words, rule.height, rule.width, short)))
                )
            run(f"{inside(folder)}/main", inside(folder), str(len(cases)))
            for number, (name, rule, case) in enumerate(cases):
                found = np.array((folder / f"{number}.found").read_text().split(), float).reshape(-1, 6)
                np.testing.assert_allclose(
                    found, case.wanted(rule), rtol=1e-9, atol=1e-9, err_msg=f"{name}, {case.name}"
                )
