"""``package --check``: sound packages pass, and each thing that can be wrong is named."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import pytest

from mobiledeploy.deploy.packages.archives import ArchiveEntry, write_archive
from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.manifest import MANIFEST
from mobiledeploy.deploy.packages.packaging import Package
from mobiledeploy.errors import InputError

Module = Callable[[str], Package]


def problems(path: Path) -> str:
    (checked,) = check_package(path)
    return "\n".join(checked.problems)


@pytest.fixture
def folder(module: Module) -> Path:
    return module("tflite").folder


@pytest.fixture
def assets(folder: Path) -> Path:
    return next(folder.rglob(MANIFEST)).parent


def as_app(folder: Path, path: Path, *, model_at: int = 4, code: bytes | None = None) -> Path:
    """The assets of a package in an APK: its code is a text with the strings that compiled code has."""
    main = folder / "src" / "main"
    entries = [ArchiveEntry("AndroidManifest.xml", b"")]
    for file in (main / "assets").rglob("*"):
        if file.is_file():
            name = file.relative_to(main).as_posix()
            entries.append(ArchiveEntry(name, file.read_bytes(), model_at if file.stem == "model" else 0))
    if code is None:
        code = next(main.rglob("ModelContract.kt")).read_bytes()
    entries.append(ArchiveEntry("classes2.dex", code))
    write_archive(path, entries)
    return path


def test_a_sound_folder(folder: Path) -> None:
    assert problems(folder) == ""


def test_a_sound_app(folder: Path, tmp_path: Path) -> None:
    assert problems(as_app(folder, tmp_path / "app.apk")) == ""


def test_two_packages_in_one_app(folder: Path, tmp_path: Path) -> None:
    app = as_app(folder, tmp_path / "app.apk")
    with zipfile.ZipFile(app) as archive:
        read = {name: archive.read(name) for name in archive.namelist()}
    entries = [ArchiveEntry(name, content, 4 * ("model" in name)) for name, content in read.items()]
    moved = [
        ArchiveEntry(item.name.replace("assets/", "assets/other/"), item.content, item.aligned)
        for item in entries
        if item.name.startswith("assets/")
    ]
    write_archive(app, [*entries, *moved])
    first, second = sorted(check_package(app), key=lambda item: bool(item.problems))
    assert not first.problems
    assert "the assets lie in assets/other/" in second.problems[0]


def test_another_model(folder: Path, assets: Path) -> None:
    content = bytearray((assets / "model.tflite").read_bytes())
    content[-1] ^= 1
    (assets / "model.tflite").write_bytes(content)
    assert "the model's sha256 is" in problems(folder)


def test_no_model(folder: Path, assets: Path) -> None:
    (assets / "model.tflite").unlink()
    assert problems(folder) == "the model model.tflite is not there"


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ("a\nb\nc\n", "3 labels for 4 scores"),
        ("a\nb\nc\nd\n", "label 0 is 'a', the contract says"),
        (None, "the labels labels.txt are not there"),
        (b"\xff\xfe", "no UTF-8"),
    ],
)
def test_labels(labels: str | bytes | None, wanted: str, folder: Path, assets: Path) -> None:
    path = assets / "labels.txt"
    if labels is None:
        path.unlink()
    else:
        path.write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    assert wanted in problems(folder)


def test_an_edited_contract(folder: Path, assets: Path) -> None:
    data = json.loads((assets / MANIFEST).read_text(encoding="utf-8"))
    data["contract"]["preprocessing"]["mean"] = [0.0, 0.0, 0.0]
    (assets / MANIFEST).write_text(json.dumps(data), encoding="utf-8")
    found = problems(folder)
    assert "the manifest's contract was edited" in found
    assert "ModelContract.kt is not what the contract says: 'floatArrayOf(123.675f,' where it has" in found


def test_edited_code(folder: Path) -> None:
    (path,) = folder.rglob("ModelContract.kt")
    path.write_text(path.read_text().replace("shortSide = 18", "shortSide = 16"))
    assert "ModelContract.kt is not what the contract says: '16,' where it has '18,'" in problems(folder)


def test_code_may_be_laid_out_otherwise(folder: Path) -> None:
    (path,) = folder.rglob("ModelContract.kt")
    path.write_text(path.read_text().replace("    ", "\t"))
    assert problems(folder) == ""


def test_no_code(folder: Path, tmp_path: Path) -> None:
    app = as_app(folder, tmp_path / "app.apk", code=b"something else")
    assert "no code for this model and contract" in problems(app)
    next(folder.rglob("ModelContract.kt")).unlink()
    assert "ModelContract.kt is not there" in problems(folder)


def test_a_compressed_model(folder: Path, tmp_path: Path) -> None:
    found = problems(as_app(folder, tmp_path / "app.apk", model_at=0))
    assert "compressed and cannot be mapped" in found
    assert 'noCompress += "tflite"' in found


def test_a_model_that_is_not_aligned(folder: Path, tmp_path: Path) -> None:
    app = as_app(folder, tmp_path / "app.apk", model_at=4)
    with zipfile.ZipFile(app) as archive:
        (info,) = [item for item in archive.infolist() if item.filename.endswith("model.tflite")]
        offset = info.header_offset
    content = bytearray(app.read_bytes())
    names, extra = struct.unpack_from("<HH", content, offset + 26)
    # One byte from the padding to the name moves nothing; one more in the header moves the data.
    content[offset + 28 : offset + 30] = struct.pack("<H", extra + 1)
    content.insert(offset + 30 + names + extra, 0)
    end = content.rindex(b"PK\5\6")
    (start,) = struct.unpack_from("<I", content, end + 16)
    struct.pack_into("<I", content, end + 16, start + 1)
    place = start + 1
    while content[place : place + 4] == b"PK\1\2":
        lengths = struct.unpack_from("<HHH", content, place + 28)
        (local,) = struct.unpack_from("<I", content, place + 42)
        if local > offset:
            struct.pack_into("<I", content, place + 42, local + 1)
        place += 46 + sum(lengths)
    app.write_bytes(content)
    assert "no multiple of 4: run zipalign 4" in problems(app)


def zipped(path: Path, entries: Iterable[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_no_zip(tmp_path: Path) -> None:
    (tmp_path / "app.apk").write_bytes(b"no archive at all" * 100)
    with pytest.raises(InputError, match="this is no zip archive"):
        check_package(tmp_path / "app.apk")


def test_a_zip_without_a_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no {MANIFEST} is in it"):
        check_package(zipped(tmp_path / "app.apk", [("a", b"b")]))


def test_a_path_that_leaves_the_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its path leaves the archive"):
        check_package(zipped(tmp_path / "app.apk", [(f"../../{MANIFEST}", b"{}")]))


def test_a_bomb_that_says_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path / "app.apk", [(MANIFEST, b"0" * 1000)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, 2**31)
    path.write_bytes(content)
    with pytest.raises(InputError, match="unpacks to 2147483648 bytes"):
        check_package(path)


def test_a_bomb_that_hides_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path / "app.apk", [(MANIFEST, b"0" * 10_000_000)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, 100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"size|unpacked"):
        check_package(path)


def test_entries_that_overlap(tmp_path: Path) -> None:
    path = zipped(tmp_path / "app.apk", [(MANIFEST, b"{}"), ("other", b"x" * 50)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 42, 0)
    path.write_bytes(content)
    with pytest.raises(InputError, match="overlaps another entry"):
        check_package(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1, "model": 3}', "\xff"]
)
def test_manifests_that_are_none(text: str, folder: Path, assets: Path) -> None:
    (assets / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="manifest"):
        check_package(folder)


def test_contracts_that_are_none(folder: Path, assets: Path) -> None:
    whole = (assets / MANIFEST).read_text(encoding="utf-8")
    parts = ("inputs", "outputs", "preprocessing", "labels", "task")
    for part, value in product(parts, (None, [], [{}], {}, "x", 3)):
        data = json.loads(whole)
        data["contract"][part] = value
        (assets / MANIFEST).write_text(json.dumps(data), encoding="utf-8")
        assert "contract" in said_of(folder), (part, value)


def said_of(path: Path) -> str:
    """The problems, or why it cannot be read."""
    try:
        return problems(path)
    except InputError as error:
        return str(error)


def test_a_manifest_that_names_files_elsewhere(folder: Path, assets: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    data = json.loads((assets / MANIFEST).read_text(encoding="utf-8"))
    data["model"]["file"] = f"../{'../' * 20}{tmp_path}/secret"
    (assets / MANIFEST).write_text(json.dumps(data), encoding="utf-8")
    assert "is not there" in problems(folder)
