"""A package: planned, written, replaced, refused."""

from __future__ import annotations

import hashlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image
from small_classifier import LABELS, small_classifier

from mobiledeploy.contract import Contract
from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.packages import platforms, subject
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.golden import draw
from mobiledeploy.deploy.packages.names import check_name, choose_namespace
from mobiledeploy.deploy.packages.packaging import Package, package
from mobiledeploy.deploy.packages.plan import PlannedFile, make_plan, text_file
from mobiledeploy.deploy.packages.platforms import find_platform
from mobiledeploy.deploy.packages.platforms.android.values import LITERT, ONNX_RUNTIME
from mobiledeploy.deploy.packages.writing import write_package
from mobiledeploy.errors import InputError, OutputError, UnsupportedError
from mobiledeploy.preprocessing import to_input
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import open_session, read_artifact

Module = Callable[[str], Package]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "name",
    ["tflite", pytest.param("onnx", marks=pytest.mark.slow), pytest.param("pixels", marks=pytest.mark.slow)],
)
def test_the_same_input_gives_the_same_bytes(
    name: str, module: Module, model_files: dict[str, Path], tmp_path: Path
) -> None:
    moved = tmp_path / f"moved{model_files[name].suffix}"
    moved.write_bytes(model_files[name].read_bytes())
    elsewhere = package(moved, "android", tmp_path / "elsewhere")
    assert contents(elsewhere.folder) == contents(module(name).folder)


def test_golden_vectors_are_what_the_file_answers(model_files: dict[str, Path], module: Module) -> None:
    folder = module("tflite").folder / "src" / "golden"
    described = json.loads((folder / "golden.json").read_text())
    artifact = read_artifact(model_files["tflite"])
    assert artifact.contract
    assert artifact.contract.preprocessing
    session = open_session(model_files["tflite"], threads=1)
    for vector in described["vectors"]:
        with Image.open(folder / vector["image"]) as image:
            given = to_input(image, artifact.contract.preprocessing, artifact.contract.inputs[0])
        assert (folder / vector["input"]).read_bytes() == given.tobytes()
        (output,) = session.run([given])
        assert (folder / vector["output"]).read_bytes() == output.tobytes()
        assert vector["best"] == output.argmax()


def test_golden_images_are_drawn_the_same_everywhere() -> None:
    assert hashlib.sha256(draw(150, 110).tobytes()).hexdigest()[:16] == "1d0d47fefe43442c"


def test_manifest_labels_and_card(model_files: dict[str, Path], module: Module) -> None:
    made = module("tflite")
    (manifest,) = made.folder.rglob("mobiledeploy-package.json")
    data = json.loads(manifest.read_text(encoding="utf-8"))
    content = model_files["tflite"].read_bytes()
    assert data["model"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (manifest.parent / data["model"]["file"]).read_bytes() == content
    assert (manifest.parent / "labels.txt").read_text(encoding="utf-8").splitlines() == list(LABELS)
    contract = Contract.from_json(json.dumps(data["contract"]))
    assert contract.labels == LABELS
    assert data["licence"] == "Apache-2.0"
    assert data["measured"] == {"accuracy": [], "latency": []}
    card = (made.folder / "MODEL_CARD.md").read_text()
    assert "mobiledeploy evaluate" in card
    assert "| Apache-2.0 |" in card.replace("licence of the weights ", "")


def test_the_listing_is_what_sha256sum_checks(module: Module) -> None:
    folder = module("tflite").folder
    subprocess.run(["sha256sum", "--quiet", "-c", "FILES.sha256"], cwd=folder, check=True)
    listed = {line.split("  ", 1)[1] for line in (folder / "FILES.sha256").read_text().splitlines()}
    assert listed == set(contents(folder)) - {"FILES.sha256"}


def test_a_package_of_ours_is_replaced_whole(module: Module, tmp_path: Path) -> None:
    folder = module("tflite").folder
    plan = make_plan("android", "Other", [text_file("only.txt", "new")])
    write_package(plan, folder)
    assert set(contents(folder)) == {"only.txt", "FILES.sha256"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("change", ["foreign", "edited", "link"])
def test_foreign_and_edited_files_are_kept(change: str, module: Module, tmp_path: Path) -> None:
    folder = module("tflite").folder
    name = {"foreign": "notes.txt", "edited": "README.md", "link": "link"}[change]
    if change == "link":
        (folder / name).symlink_to(tmp_path)
    else:
        (folder / name).write_text("mine")
    before = contents(folder)
    with pytest.raises(InputError, match=rf"{name}.*--force"):
        module("tflite")
    assert contents(folder) == before
    plan = make_plan("android", "Other", [text_file("README.md", "new")])
    write_package(plan, folder, force=True)
    assert (folder / "README.md").read_text() == "new"
    if change == "foreign":
        assert (folder / name).read_text() == "mine"


@pytest.mark.slow
def test_force_leaves_nothing_of_an_earlier_package(
    model_files: dict[str, Path], tmp_path: Path, no_compiler: None
) -> None:
    out = tmp_path / "out"
    package(model_files["tflite"], "android", out)
    (out / "notes.txt").write_text("mine")
    second = package(model_files["pixels"], "android", out, force=True)
    (checked,) = check_package(out)
    assert checked.manifest.sha256 == second.subject.sha256
    assert checked.problems == ()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_listing_removes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    (tmp_path / "out" / "FILES.sha256").write_text(f"{digest}  ../victim\n{digest}  a\n")
    (tmp_path / "out" / "edited").write_text("x")
    write_package(make_plan("x", "X", [text_file("a", "b")]), tmp_path / "out", force=True)
    assert (tmp_path / "victim").read_text() == "mine"


def test_force_does_not_follow_links_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "out" / "src").symlink_to(tmp_path / "victim")
    plan = make_plan("android", "Other", [text_file("src/a.txt", "new")])
    with pytest.raises(InputError, match="a link is in the way"):
        write_package(plan, tmp_path / "out", force=True)
    assert not list((tmp_path / "victim").iterdir())


def test_output_that_is_a_file(model_files: dict[str, Path], tmp_path: Path, no_compiler: None) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file, not a folder"):
        package(model_files["tflite"], "android", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_nothing_is_left_of_a_build_that_fails(tmp_path: Path) -> None:
    def fail(_folder: Path) -> list[str]:
        raise OutputError("no room")

    with pytest.raises(OutputError):
        write_package(make_plan("x", "X", [text_file("a", "b")]), tmp_path / "out", build=fail)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x"])
def test_no_path_leaves_the_folder(path: str) -> None:
    with pytest.raises(InputError, match="inside the package"):
        make_plan("x", "X", [PlannedFile(PurePosixPath(path), b"")])


@pytest.mark.parametrize(
    "name", ["classifier", "9Lives", "A-B", "Été", "", "A" * 65, "../X", "Category", "String", "Engine"]
)
def test_names_that_are_no_class(name: str) -> None:
    with pytest.raises(InputError, match="--name"):
        check_name(name, find_platform("android").reserved)


@pytest.mark.parametrize(
    "name",
    ["flowers", "com", "Com.example", "com..x", "com.class", "com.fun.x", "com.9x", "../..", "a.b/c", ""],
)
def test_names_that_are_no_namespace(name: str) -> None:
    with pytest.raises(InputError, match="--namespace"):
        choose_namespace(name, "X")


def test_a_platform_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toaster").mkdir()
    (tmp_path / "toaster" / "__init__.py").write_text(
        "from mobiledeploy.deploy.packages.plan import make_plan, text_file\n"
        "from mobiledeploy.deploy.packages.platform import Platform\n"
        "from mobiledeploy.deploy.packages.manifest import labels_files, manifest_file\n"
        "class Toaster(Platform):\n"
        "    name, targets, reserved = 'toaster', ('tflite',), frozenset()\n"
        "    def plan(self, subject):\n"
        "        files = (*subject.model, *labels_files(subject), manifest_file(subject, self.name))\n"
        "        return make_plan(self.name, subject.name, files)\n"
        "PLATFORM = Toaster()\n"
    )
    monkeypatch.setattr(platforms, "__path__", [*platforms.__path__, str(tmp_path)])
    assert "toaster" in platforms.names()
    assert find_platform("toaster").name == "toaster"


def test_every_platform_has_what_it_needs() -> None:
    for module in pkgutil.iter_modules(platforms.__path__):
        found = find_platform(module.name)
        assert found.name == module.name
        assert found.targets
        assert found.reserved


def test_unknown_platform() -> None:
    with pytest.raises(InputError, match="Did you mean android"):
        find_platform("andriod")


def _with(artifact: Artifact, **changes: object) -> Artifact:
    assert artifact.contract
    contract = replace(artifact.contract, **changes)  # type: ignore[arg-type]
    return replace(artifact, contents=replace(artifact.contents, contract=contract))


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"task": "image-segmentation"}, UnsupportedError, "no packages for the task image-segmentation"),
        ({"task": "object-detection"}, UnsupportedError, "raw heads"),
        ({"task": "geolocation"}, InputError, "is no place"),
        ({"preprocessing": None}, InputError, "--preprocessing"),
        ({"labels": ("a", "b")}, InputError, "2 labels for 4 scores"),
        ({"labels": ("a", "b", "c\nd", "e")}, InputError, "label 2 holds a line break"),
    ],
)
def test_contracts_that_no_package_can_be_made_of(
    changes: dict[str, object],
    error: type[Exception],
    match: str,
    model_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    artifact = _with(read_artifact(model_files["tflite"]), **changes)
    monkeypatch.setattr(subject, "read_artifact", lambda _path: artifact)
    with pytest.raises(error, match=match):
        package(model_files["tflite"], "android", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tensor", "changes", "match"),
    [
        ("inputs", {"shape": (-1, 16, 16, 3)}, "fixed shapes"),
        ("inputs", {"dtype": "float16"}, "float32, uint8 or int8 at its borders"),
        ("outputs", {"shape": (1, 2, 2)}, "one vector of scores"),
        ("outputs", {"shape": (1, 1)}, "a single score"),
    ],
)
def test_tensors_that_no_package_can_be_made_of(
    tensor: str,
    changes: dict[str, object],
    match: str,
    model_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    artifact = read_artifact(model_files["tflite"])
    (spec,) = getattr(artifact.contents, tensor)
    changed = replace(artifact.contents, **{tensor: (replace(spec, **changes),)})
    monkeypatch.setattr(subject, "read_artifact", lambda _path: replace(artifact, contents=changed))
    monkeypatch.setattr(subject, "make_golden", lambda *_: ())
    with pytest.raises(UnsupportedError, match=match):
        package(model_files["tflite"], "android", tmp_path / "out")


def test_a_file_without_a_contract_asks_for_its_preprocessing(
    model_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_compiler: None
) -> None:
    artifact = read_artifact(model_files["tflite"])
    bare = replace(artifact, contents=replace(artifact.contents, contract=None, labels=()))
    monkeypatch.setattr(subject, "read_artifact", lambda _path: bare)
    with pytest.raises(InputError, match="Pass --preprocessing"):
        package(model_files["tflite"], "android", tmp_path / "out")
    made = package(model_files["tflite"], "android", tmp_path / "out", preprocessing="inception")
    assert made.subject.labels == ("0", "1", "2", "3")
    assert made.subject.rule.mean == (127.5, 127.5, 127.5)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("mobilenet_v2_1.0_224_quant", "UINT8", "background"),
        ("vww_96_int8", "INT8", "0"),
        ("vww_96_float", "FLOAT32", "0"),
    ],
)
def test_files_of_other_makers(
    name: str, kind: str, label: str, data_dir: Path, tmp_path: Path, no_compiler: None
) -> None:
    made = package(
        data_dir / "tflite" / f"{name}.tflite", "android", tmp_path / "out", preprocessing="inception"
    )
    assert made.subject.labels[0] == label
    (contract,) = made.folder.rglob("ModelContract.kt")
    code = contract.read_text()
    assert f"InputKind.{kind}" in code
    assert f"OutputKind.{kind}" in code
    # Probabilities already, as far as the file says.
    assert "softmax = false" in code


@pytest.mark.slow
def test_a_format_that_the_platform_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "small.mlpackage"
    convert(small_classifier(), target="coreml", output=path, verify=False)
    with pytest.raises(UnsupportedError, match="--target tflite or onnx"):
        package(path, "android", tmp_path / "out")


def test_command(
    model_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], no_compiler: None
) -> None:
    out = tmp_path / "flowers"
    arguments = ["package", str(model_files["tflite"]), "--platform", "android", "-o", str(out), "--json"]
    assert main([*arguments, "--name", "Flowers", "--namespace", "org.acme.flowers"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["namespace"] == "org.acme.flowers"
    assert "src/main/kotlin/org/acme/flowers/Flowers.kt" in data["files"]
    assert "kotlinc" in data["remarks"][0]
    assert main(["package", "--check", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]


def test_a_compiler_that_fails_costs_the_archive_alone(
    model_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "kotlinc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'A.kt:1:1: error: out of luck' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("KOTLIN_HOME", str(tmp_path))
    made = package(model_files["tflite"], "android", tmp_path / "out")
    (remark,) = made.remarks
    assert "no .aar was made" in remark
    assert "out of luck" in remark
    assert not list((tmp_path / "out").glob("*.aar"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["package"], 2),
        (["package", "x.tflite", "--check", "y"], 2),
        (["package", "none.tflite", "--platform", "android", "-o", "out"], 3),
        (["package", "none.tflite", "--platform", "symbian", "-o", "out"], 3),
        (["package", "none.tflite", "--platform", "android", "-o", "out", "--name", "fun"], 3),
        (["package", "--check", "none"], 3),
    ],
)
def test_command_refuses(
    arguments: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_the_docs_name_the_engines_that_packages_ask_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "packages.md").read_text()
    assert f"LiteRT {LITERT}," in page
    assert f"ONNX Runtime {ONNX_RUNTIME} " in page


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        "main(['package', '--help'])\n"
        "print(sorted({'torch', 'numpy', 'jinja2', 'PIL'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
