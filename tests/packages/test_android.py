"""The Android library with what apps are built with: compilers, aapt2, zipalign, apksigner, a JVM."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from android_tools import (
    FRAMEWORK,
    JUNIT,
    STDLIB,
    java,
    kotlin_of_today,
    needs_tools,
    onnx_runtime_classes,
    run,
)
from PIL import Image
from small_classifier import LABELS

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.platforms.android import platform
from mobiledeploy.deploy.packages.platforms.android.kotlin import (
    RESERVED,
    STUBS,
    compile_kotlin,
    find_kotlinc,
)
from mobiledeploy.images import find_images, load_image, spread
from mobiledeploy.preprocessing import to_input

pytestmark = [pytest.mark.slow, pytest.mark.android, needs_tools]

HERE = Path(__file__).parent
PAGE = 4096
SOURCE_SIZES = ((320, 400), (150, 110), (64, 64), (7, 300), (641, 479), (1, 1), (200, 410), (1000, 30))


@pytest.fixture(scope="module")
def ready(model_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Package]:
    """Packages, each made once; that of TFLite with its AAR."""
    made: dict[str, Package] = {}

    def make(name: str) -> Package:
        if name not in made:
            folder = tmp_path_factory.mktemp(name) / "package"
            with pytest.MonkeyPatch.context() as patch:
                if name == "onnx":
                    patch.setattr(platform, "find_kotlinc", lambda: None)
                made[name] = package(model_files[name], "android", folder, name="Ants")
        return made[name]

    return make


@pytest.fixture(scope="module")
def onnx_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_runtime_classes(tmp_path_factory.mktemp("onnxruntime"))


@pytest.fixture(scope="module")
def compiled(
    ready: Callable[[str], Package], onnx_runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The ONNX library, its tests and ours, against ONNX Runtime's real classes."""
    compiler = find_kotlinc()
    assert compiler
    output = tmp_path_factory.mktemp("compiled")
    source = ready("onnx").folder / "src"
    test_sources = [source / "test" / "kotlin", *(source / "androidTest").rglob("AntsTest.kt")]
    # Signatures of Android alone: ONNX Runtime's classes are the real ones.
    android = shutil.copytree(
        STUBS, tmp_path_factory.mktemp("stubs") / "all", ignore=shutil.ignore_patterns("ai", "org")
    )
    mine = tmp_path_factory.mktemp("mine") / "Compare.kt"
    mine.write_text((HERE / "Compare.kt").read_text().replace("com.example.classifier", "com.example.ants"))
    compile_kotlin(
        compiler,
        [source / "main" / "kotlin", *test_sources, mine, Path(android), HERE / "stubs"],
        output,
        module="tests",
        classpath=[onnx_runtime, *JUNIT],
    )
    return output


def test_the_archive_is_what_android_takes(ready: Callable[[str], Package], tmp_path: Path) -> None:
    made = ready("tflite")
    path = made.folder / "ants.aar"
    assert made.remarks == ()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (tmp_path / "classes.jar").write_bytes(archive.read("classes.jar"))
    assert {"AndroidManifest.xml", "R.txt", "classes.jar", "proguard.txt"} <= set(names)
    (checked,) = check_package(path)
    assert checked.problems == ()
    run("zipalign", "-c", "4", path)
    # What an app sees of it, and nothing of the stubs that it was compiled with.
    classes = zipfile.ZipFile(tmp_path / "classes.jar").namelist()
    assert all(name.startswith(("com/example/ants/", "META-INF/")) for name in classes)
    # Two packages in one app must not have this one in common.
    assert "META-INF/com.example.ants.Ants.kotlin_module" in classes
    shown = run("javap", "-cp", tmp_path / "classes.jar", "com.example.ants.Ants")
    assert (
        "public final java.util.List<com.example.ants.Category> classify(android.graphics.Bitmap);" in shown
    )
    assert "public static final com.example.ants.Ants load(android.content.Context);" in shown
    assert " void close();" in shown


def test_no_method_that_older_androids_do_not_have(ready: Callable[[str], Package], tmp_path: Path) -> None:
    """On Android 13 and older, methods that move a position are those of Buffer, not of ByteBuffer."""
    with zipfile.ZipFile(ready("tflite").folder / "ants.aar") as archive:
        archive.extract("classes.jar", tmp_path)
    shutil.unpack_archive(tmp_path / "classes.jar", tmp_path / "classes", "zip")
    code = run("javap", "-c", "-p", *sorted((tmp_path / "classes").rglob("*.class")))
    assert "java/nio/ByteBuffer.allocateDirect" in code
    assert not re.search(r"java/nio/ByteBuffer\.(rewind|flip|clear|position|limit|mark|reset):", code)
    assert "java/util/stream" not in code
    assert "kotlin/jdk7" not in code


def test_the_archive_is_the_same_each_time(
    ready: Callable[[str], Package], model_files: dict[str, Path], tmp_path: Path
) -> None:
    again = package(model_files["tflite"], "android", tmp_path / "again", name="Ants").folder
    first = ready("tflite").folder
    assert (again / "ants.aar").read_bytes() == (first / "ants.aar").read_bytes()
    assert (again / "FILES.sha256").read_bytes() == (first / "FILES.sha256").read_bytes()


def test_an_app_is_built_signed_and_maps_its_model(ready: Callable[[str], Package], tmp_path: Path) -> None:
    folder = ready("tflite").folder
    app = build_app(folder, tmp_path, "-0", ".tflite")
    run("apksigner", "verify", "--min-sdk-version", "24", app)
    run("zipalign", "-c", "-p", "4", app)
    (checked,) = check_package(app)
    assert checked.problems == ()
    model = folder / "src" / "main" / "assets"
    (model,) = model.rglob("model.tflite")
    with zipfile.ZipFile(app) as archive:
        info = archive.getinfo(f"assets/{model.relative_to(folder / 'src/main/assets').as_posix()}")
    assert info.compress_type == zipfile.ZIP_STORED
    # As Android maps it: from the page before, then on to where the model begins.
    content = app.read_bytes()
    begin = content.index(model.read_bytes())
    mapped = np.memmap(app, np.uint8, "r", begin // PAGE * PAGE)
    assert mapped[begin % PAGE :][: info.file_size].tobytes() == model.read_bytes()


def test_an_app_that_compresses_its_model_is_found_out(
    ready: Callable[[str], Package], tmp_path: Path
) -> None:
    """aapt2 takes ``tflite`` without the dot for no suffix at all, and zipalign finds nothing wrong."""
    app = build_app(ready("tflite").folder, tmp_path)
    run("zipalign", "-c", "-p", "4", app)
    (checked,) = check_package(app)
    assert "compressed and cannot be mapped" in checked.problems[0]


def build_app(folder: Path, place: Path, *options: str) -> Path:
    """An APK with the assets of a package; its code has the strings of the package's classes."""
    (contract,) = (folder / "src" / "main").rglob("ModelContract.kt")
    strings = re.findall(r'const val \w+ = "(.*)"', contract.read_text())
    lines = "".join(f'    const-string v0, "{text}"\n' for text in strings)
    (place / "Main.smali").write_text(
        ".class public Lcom/example/app/Main;\n.super Ljava/lang/Object;\n"
        f".method public static main()V\n    .registers 1\n{lines}    return-void\n.end method\n"
    )
    run("smali", "assemble", "-a", "24", "-o", place / "classes.dex", place / "Main.smali")
    (place / "AndroidManifest.xml").write_text(
        '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.app">'
        '<uses-sdk android:minSdkVersion="24" android:targetSdkVersion="34"/><application/></manifest>'
    )
    plain, aligned = place / "plain.apk", place / "app.apk"
    assets = folder / "src" / "main" / "assets"
    manifest = place / "AndroidManifest.xml"
    run("aapt2", "link", "-o", plain, "-I", FRAMEWORK, "--manifest", manifest, "-A", assets, *options)
    with zipfile.ZipFile(plain, "a") as archive:
        archive.write(place / "classes.dex", "classes.dex")
    run("zipalign", "-f", "-p", "4", plain, aligned)
    key = ("-keystore", place / "key.jks", "-storepass", "android", "-alias", "key")
    run("keytool", "-genkeypair", *key, "-keyalg", "RSA", "-dname", "CN=test", "-keypass", "android")
    run("apksigner", "sign", "--ks", place / "key.jks", "--ks-pass", "pass:android", aligned)
    return aligned


def test_the_library_manifest_is_understood(ready: Callable[[str], Package], tmp_path: Path) -> None:
    with zipfile.ZipFile(ready("tflite").folder / "ants.aar") as archive:
        archive.extract("AndroidManifest.xml", tmp_path)
    run(
        "aapt2",
        "link",
        "-o",
        tmp_path / "x.apk",
        "-I",
        FRAMEWORK,
        "--manifest",
        tmp_path / "AndroidManifest.xml",
    )


def test_its_own_unit_test_passes_on_a_jvm(compiled: Path, ready: Callable[[str], Package]) -> None:
    golden = ready("onnx").folder / "src" / "golden"
    said = java(
        "org.junit.runner.JUnitCore",
        [compiled, golden, *STDLIB, *JUNIT],
        "com.example.ants.PreprocessingTest",
    )
    assert "OK (2 tests)" in said


def test_its_own_unit_test_can_fail(compiled: Path, ready: Callable[[str], Package], tmp_path: Path) -> None:
    golden = Path(shutil.copytree(ready("onnx").folder / "src" / "golden", tmp_path / "golden"))
    content = bytearray((golden / "0.input").read_bytes())
    content[1000] ^= 1
    (golden / "0.input").write_bytes(content)
    with pytest.raises(AssertionError, match="Failures: 1"):
        java(
            "org.junit.runner.JUnitCore",
            [compiled, golden, *STDLIB, *JUNIT],
            "com.example.ants.PreprocessingTest",
        )


@pytest.mark.parametrize(("config", "compressed"), [("ARGB_8888", False), ("HARDWARE", True)])
def test_an_app_calls_the_library(
    config: str, compressed: bool, ready: Callable[[str], Package], tmp_path: Path
) -> None:
    """The compiled library on a JVM: an Android of few classes, an engine that knows the golden answers."""
    made = ready("tflite")
    source = made.folder / "src"
    with zipfile.ZipFile(made.folder / "ants.aar") as archive:
        archive.extract("classes.jar", tmp_path)
    classpath = [tmp_path / "classes.jar", *STDLIB]
    fakes = sorted((HERE / "fakes").rglob("*.java"))
    run("javac", "-cp", os.pathsep.join(map(str, classpath)), "-d", tmp_path, *fakes)
    vector = made.subject.golden[0]
    height, width, _ = vector.image.shape
    (tmp_path / "image.rgb").write_bytes(vector.image.tobytes())
    (model,) = (source / "main" / "assets").rglob("model.tflite")
    said = run(
        *("java", f"-Dgolden={source / 'golden'}", f"-Dmodel={model}"),
        *("-cp", os.pathsep.join(map(str, [tmp_path, *classpath])), "Classify", source / "main" / "assets"),
        *(tmp_path / "image.rgb", width, height, config, compressed),
    ).splitlines()
    logits = vector.output.ravel().astype(np.float64)
    powers = np.exp(logits - logits.max())
    answers = [line.split("\t") for line in said if "\t" in line]
    assert answers[:4] == answers[4:]
    order = np.argsort(-logits, kind="stable")
    assert [(int(index), label) for index, label, _ in answers[:4]] == [(i, LABELS[i]) for i in order]
    assert [float(score) for _, _, score in answers[:4]] == pytest.approx(
        (powers / powers.sum())[order], rel=1e-5
    )
    assert any("is compressed and is copied" in line for line in said) == compressed
    assert "this classifier was closed" in said
    assert said.count("interpreter closed") == 2
    assert said[-1] == "Accelerator.GPU needs com.google.ai.edge.litert:litert-gpu:1.4.2"


def rules() -> list[Preprocessing]:
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    found = []
    for interpolation in ("nearest", "bilinear", "bicubic"):
        geometry = Preprocessing(64, 64, resize_to=73, interpolation=interpolation, mean=mean, std=std)  # type: ignore[arg-type]
        found += [
            geometry,
            Preprocessing(96, 160, "stretch", 0, geometry.interpolation, "BGR", mean, std),
            Preprocessing(64, 64, "short-side", 73, geometry.interpolation, "L", mean[:1], std[:1]),
            # Larger than the resized image: black is added.
            Preprocessing(100, 81, "short-side", 61, geometry.interpolation),
        ]
    return found


# dtype, scale, zero point, layout, and the kind that the generated code calls it.
INPUTS = (
    ("float32", None, None, "NHWC", "FLOAT32"),
    ("float32", None, None, "NCHW", "FLOAT32"),
    ("int8", 0.018658, -14, "NHWC", "INT8"),
    ("uint8", 0.0078, 128, "NCHW", "UINT8"),
)


def test_kotlin_prepares_images_as_python_does(compiled: Path, tmp_path: Path) -> None:
    images = [
        Image.fromarray(draw(width, height) ^ np.random.default_rng(width).integers(0, 256, 3, np.uint8))
        for width, height in SOURCE_SIZES
    ]
    compare(compiled, tmp_path, images, rules())


@pytest.mark.data
def test_kotlin_prepares_photographs_as_python_does(compiled: Path, tmp_path: Path, data_dir: Path) -> None:
    paths = spread(find_images(data_dir / "images" / "imagenet1k_sample_1000"), 8)
    images = [load_image(path).convert("RGB") for path in paths]
    wanted = [
        Preprocessing(224, 224, "short-side", 256, interpolation, "RGB", (127.5,) * 3, (127.5,) * 3)
        for interpolation in ("bilinear", "bicubic")
    ]
    compare(compiled, tmp_path, images, wanted)


def compare(compiled: Path, place: Path, images: list[Image.Image], wanted: list[Preprocessing]) -> None:
    """Every image under every rule, as the library prepares it and as ``mobiledeploy.preprocessing`` does."""
    cases, lines = [], []
    for number, (image, rule) in enumerate(product(images, wanted)):
        dtype, scale, zero, layout, kind = INPUTS[number % len(INPUTS)]
        count = len(rule.mean)
        sides = (count, rule.height, rule.width) if layout == "NCHW" else (rule.height, rule.width, count)
        spec = TensorSpec("image", (1, *sides), dtype, layout, "image", scale, zero)  # type: ignore[arg-type]
        if dtype == "uint8" and rule == rule.raw_pixels():
            kind = "PIXELS"
        source, goal = place / f"{number}.rgb", place / f"{number}.out"
        source.write_bytes(image.tobytes())
        short = rule.resize_to if rule.resize == "short-side" else 0
        words = (source, image.width, image.height, goal, rule.height, rule.width, short, rule.interpolation)
        words = (
            *words,
            rule.channels,
            kind,
            scale or 1.0,
            zero or 0,
            layout == "NCHW",
            *rule.mean,
            *rule.std,
        )
        lines.append(" ".join(map(str, words)))
        cases.append((goal, to_input(image, rule, spec), f"{image.size} {rule}"))
    (place / "cases").write_text("\n".join(lines))
    java("com.example.ants.CompareKt", [compiled, *STDLIB], place / "cases")
    for goal, expected, case in cases:
        actual = np.frombuffer(goal.read_bytes(), expected.dtype).reshape(expected.shape)
        assert np.array_equal(actual, expected), case


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_the_kotlin_of_today_accepts_it(
    name: str, ready: Callable[[str], Package], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compiler = kotlin_of_today(tmp_path_factory)
    said = run(compiler, "-d", tmp_path / "out", ready(name).folder / "src" / "main" / "kotlin", STUBS)
    assert list((tmp_path / "out").rglob("Ants.class"))
    assert "warning: unresolved" not in said


def test_reserved_names_are_all_that_the_code_uses(ready: Callable[[str], Package]) -> None:
    used: set[str] = set()
    for name in ("tflite", "onnx"):
        for file in (ready(name).folder / "src").rglob("*.kt"):
            code = re.sub(r'/\*.*?\*/|//[^\n]*|"[^"\n]*"', "", file.read_text(), flags=re.DOTALL)
            code = re.sub(r"^(package|import) .*\.", "", code, flags=re.MULTILINE)
            used |= set(re.findall(r"\b[A-Z][a-z]\w*\b", code))
    assert used - {"Ants", "AntsTest", "PreprocessingTest"} <= RESERVED
