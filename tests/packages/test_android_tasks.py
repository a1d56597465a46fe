"""Android libraries of detectors, taggers, embedders and geolocators, compiled and decoding on a JVM."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from android_tools import JUNIT, STDLIB, java, kotlin_of_today, needs_tools, run
from random_heads import RULES, heads
from small_classifier import LABELS
from small_tasks import MODELS, task_file

from mobiledeploy.contract import Target, Task
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.android import platform
from mobiledeploy.deploy.packages.platforms.android.kotlin import (
    RESERVED,
    STUBS,
    compile_kotlin,
    find_kotlinc,
)

HERE = Path(__file__).parent
DETECTION: Task = "object-detection"
# Target, task and name; each has a namespace of its own, so that one compiler run is enough for all.
KINDS: tuple[tuple[Target, Task, str | None], ...] = (
    *(("tflite", task, None) for task in MODELS),
    ("onnx", DETECTION, "OnnxDetector"),
    ("onnx", "embedding", "OnnxEmbedder"),
)
compiled_test = [pytest.mark.slow, pytest.mark.android, needs_tools]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """Packages without an AAR by the name of their class; not to be changed."""
    folder = tmp_path_factory.mktemp("android")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "find_kotlinc", lambda: None)
        packages = [
            package(task_file(folder, task, target), "android", folder / f"{target}-{task}", name=name)
            for target, task, name in KINDS
        ]
    return {item.subject.name: item for item in packages}


@pytest.fixture(scope="module")
def compiled(made: dict[str, Package], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All libraries with their tests, and ours."""
    compiler = find_kotlinc()
    assert compiler
    output = tmp_path_factory.mktemp("compiled")
    sources = [item.folder / "src" / kind for item in made.values() for kind in ("main", "test")]
    # Of Ppm one is enough.
    sources += [next(item.folder.glob("src/androidTest/**/*Test.kt")) for item in made.values()]
    compile_kotlin(
        compiler,
        [*sources, HERE / "Decode.kt", STUBS, HERE / "stubs"],
        output,
        module="tests",
        classpath=JUNIT,
    )
    return output


def test_packages_pass_their_check(made: dict[str, Package]) -> None:
    assert list(made) == ["Tagger", "Geolocator", "Embedder", "Detector", "OnnxDetector", "OnnxEmbedder"]
    for item in made.values():
        (checked,) = check_package(item.folder)
        assert checked.problems == ()
        assert item.subject.task.title in (item.folder / "MODEL_CARD.md").read_text()


def test_anchors_are_checked_against_the_contract(made: dict[str, Package]) -> None:
    (code,) = made["Detector"].folder.rglob("ModelContract.kt")
    text = code.read_text()
    assert "AnchorGrid(4, 4, doubleArrayOf(0.3, 0.3, 0.2, 0.4))," in text
    try:
        code.write_text(text.replace("0.2, 0.4", "0.2, 0.5"))
        (checked,) = check_package(made["Detector"].folder)
        assert checked.problems == (
            "src/main/kotlin/com/example/detector/ModelContract.kt is not what the contract says: "
            "'0.5)),' where it has '0.4)),'",
        )
    finally:
        code.write_text(text)


def test_reserved_names_are_all_that_the_code_uses(made: dict[str, Package]) -> None:
    for item in made.values():
        for file in (item.folder / "src").rglob("*.kt"):
            code = re.sub(r'/\*.*?\*/|//[^\n]*|"[^"\n]*"', "", file.read_text(), flags=re.DOTALL)
            code = re.sub(r"^(package|import) .*\.", "", code, flags=re.MULTILINE)
            own = {item.subject.name, f"{item.subject.name}Test", "PreprocessingTest"}
            assert set(re.findall(r"\b[A-Z][a-z]\w*\b", code)) - own <= RESERVED, file.name


class TestCompiled:
    pytestmark = compiled_test

    def test_boxes_are_the_references(self, compiled: Path, tmp_path: Path) -> None:
        lines, wanted = [], []
        for name, rule in RULES.items():
            for number, case in enumerate(heads()):
                place = tmp_path / f"{number}-{name.replace(' ', '-')}"
                place.with_suffix(".boxes").write_bytes(case.boxes.astype(">f4").tobytes())
                place.with_suffix(".logits").write_bytes(case.logits.astype(">f4").tobytes())
                short = rule.resize_to if rule.resize == "short-side" else 0
                words = (*case.size, case.score_threshold, case.iou_threshold, case.most)
                names = [f"{place}.{kind}" for kind in ("boxes", "logits", "found")]
                lines.append(" ".join(map(str, (*names, *words, rule.height, rule.width, short))))
                wanted.append((f"{name}, {case.name}", names[2], case.wanted(rule)))
        (tmp_path / "cases").write_text("\n".join(lines))
        java("com.example.detector.DecodeKt", [compiled, *STDLIB], tmp_path / "cases")
        for name, goal, rows in wanted:
            found = np.array(Path(goal).read_text().split(), float).reshape(-1, 6)
            np.testing.assert_allclose(found, rows, rtol=1e-6, atol=1e-6, err_msg=name)

    def test_their_own_unit_tests_pass_on_a_jvm(self, compiled: Path, made: dict[str, Package]) -> None:
        for name, item in made.items():
            golden = item.folder / "src" / "golden"
            classes = [f"{item.subject.namespace}.{kind}Test" for kind in ("Decoding", "Preprocessing")]
            said = self._junit(compiled, golden, item.folder, *classes)
            assert "OK (4 tests)" in said, name

    def test_a_unit_test_can_fail(self, compiled: Path, made: dict[str, Package], tmp_path: Path) -> None:
        golden = made["Detector"].folder / "src" / "golden"
        for file in golden.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        lines = (tmp_path / "0.decoded").read_text().splitlines()
        (tmp_path / "0.decoded").write_text("\n".join(lines[1:]))
        with pytest.raises(AssertionError, match="Failures: 1"):
            self._junit(compiled, tmp_path, tmp_path, "com.example.detector.DecodingTest")

    def _junit(self, compiled: Path, golden: Path, folder: Path, *classes: str) -> str:
        path = ":".join(map(str, (compiled, golden, *STDLIB, *JUNIT)))
        return run("java", "-cp", path, "org.junit.runner.JUnitCore", *classes, cwd=folder)

    def test_an_app_calls_the_detector(
        self, compiled: Path, made: dict[str, Package], tmp_path: Path
    ) -> None:
        """On an Android of few classes, over an engine that knows the golden answers."""
        subject, source = made["Detector"].subject, made["Detector"].folder / "src"
        classpath = ":".join(map(str, (compiled, *STDLIB)))
        fakes = [file for file in (HERE / "fakes").rglob("*.java") if file.name != "Classify.java"]
        run("javac", "-cp", classpath, "-d", tmp_path, HERE / "Detect.java", *sorted(fakes))
        vector = subject.golden[0]
        assert vector.decoded
        height, width, _ = vector.image.shape
        (tmp_path / "image.rgb").write_bytes(vector.image.tobytes())
        assets = source / "main" / "assets"
        (model,) = assets.rglob("model.tflite")
        said = run(
            *("java", f"-Dgolden={source / 'golden'}", f"-Dmodel={model}", "-cp", f"{tmp_path}:{classpath}"),
            *("Detect", assets, tmp_path / "image.rgb", width, height),
        ).splitlines()
        answers = [line.split("\t") for line in said if "\t" in line]
        assert [label for _, label, *_ in answers] == [LABELS[int(index)] for index, *_ in answers]
        found = [[float(index), *map(float, numbers)] for index, _, *numbers in answers]
        assert vector.decoded.threshold == 0.3
        np.testing.assert_allclose(found, vector.decoded.rows, rtol=1e-6, atol=1e-5)
        assert said[-4:-1] == [
            "scoreThreshold is 1.5: give 0 to 1",
            "iouThreshold is NaN: give 0 to 1",
            "maxResults is 0",
        ]

    def test_what_an_app_sees(self, compiled: Path) -> None:
        shown = run("javap", "-cp", compiled, "com.example.detector.Detector")
        floats = "android.graphics.Bitmap, float, float, int"
        assert f"java.util.List<com.example.detector.Detection> detect({floats});" in shown
        assert "java.util.List<com.example.detector.Detection> detect(android.graphics.Bitmap);" in shown
        shown = run("javap", "-cp", compiled, "com.example.embedder.Embedder")
        assert "public static final float similarity(float[], float[]);" in shown
        assert "float[] embed(android.graphics.Bitmap);" in shown

    def test_the_kotlin_of_today_accepts_them(
        self, made: dict[str, Package], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        sources = [item.folder / "src" / "main" / "kotlin" for item in made.values()]
        run(kotlin_of_today(tmp_path_factory), "-d", tmp_path / "out", *sources, STUBS)
        assert list((tmp_path / "out").rglob("Detector.class"))
