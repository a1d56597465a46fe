"""The native runner is built for any device, and its engine's library is found, checked and kept."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.errors import EnvironmentProblem, InputError, OutputError, UnsupportedError
from mobiledeploy.runtimes.runner import build, engines
from mobiledeploy.runtimes.runner.build import native_runner
from mobiledeploy.runtimes.runner.cache import cache_folder, cached
from mobiledeploy.runtimes.runner.elf import read_elf
from mobiledeploy.runtimes.runner.engines import engine_library, given_library
from mobiledeploy.runtimes.runner.platforms import Platform, host_platform, platform_of

HOST = host_platform()
needs_host = pytest.mark.skipif(HOST is None, reason="no native runner for this host")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mobiledeploy"


@pytest.mark.parametrize(
    ("abis", "android", "expected"),
    [
        (["arm64-v8a", "armeabi-v7a"], True, Platform("arm64", "android")),
        (["armeabi-v7a"], True, Platform("armv7", "android")),
        (["riscv64", "x86_64"], True, Platform("x86_64", "android")),
        (["aarch64"], False, Platform("arm64")),
        (["armv7l"], False, Platform("armv7")),
        (["x86_64"], False, Platform("x86_64")),
    ],
)
def test_platforms(abis: list[str], android: bool, expected: Platform) -> None:
    assert platform_of(abis, android=android) == expected


def test_an_unknown_processor() -> None:
    with pytest.raises(UnsupportedError, match="riscv64"):
        platform_of(["riscv64"], android=False)


@pytest.mark.parametrize("arch", ["arm64", "armv7", "x86_64"])
def test_built_for_boards(arch: str) -> None:
    program = native_runner(Platform(arch))
    elf = read_elf(program)
    assert (elf.arch, elf.libc) == (arch, "gnu")
    assert program.stat().st_mode & stat.S_IXUSR
    assert program.stat().st_size < 200_000
    assert str(Path.home()).encode() not in program.read_bytes()
    assert native_runner(Platform(arch)) == program


@pytest.mark.slow
def test_the_same_bytes_again_and_at_once(cache: Path) -> None:
    platform = Platform("arm64")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(native_runner, [platform, platform])
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert first == second
    assert cache in first.parents
    first.unlink()
    assert hashlib.sha256(native_runner(platform).read_bytes()).hexdigest() == digest
    assert [file.name for file in first.parent.iterdir()] == [build.NAME]


def test_without_a_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'mobiledeploy\[runner\]'"):
        native_runner(Platform("arm64"))


def test_without_the_ndk(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    with pytest.raises(EnvironmentProblem, match="ANDROID_NDK_HOME is not set"):
        native_runner(Platform("arm64", "android"))
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="no aarch64-linux-android24-clang in ANDROID_NDK_HOME"):
        native_runner(Platform("arm64", "android"))


def test_a_compiler_that_fails(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ndk" / "toolchains" / "llvm" / "prebuilt" / "linux-x86_64" / "bin"
    folder.mkdir(parents=True)
    compiler = folder / "armv7a-linux-androideabi24-clang"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo clang 1; exit; }\necho broken >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    with pytest.raises(EnvironmentProblem, match=r"cannot be compiled \(broken\)"):
        native_runner(Platform("armv7", "android"))
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_no_runner_for_musl() -> None:
    with pytest.raises(UnsupportedError, match="--runner python"):
        native_runner(Platform("arm64", "musl"))


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        native_runner(Platform("arm64"))


def test_a_relative_cache_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache_folder().is_absolute()


def test_nothing_half_made_stays_in_the_cache(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.write_text("half")
        raise EnvironmentProblem("no")

    with pytest.raises(EnvironmentProblem):
        cached(tmp_path / "folder" / "file", fail)
    assert list((tmp_path / "folder").iterdir()) == []


@needs_host
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_the_hosts_own_library(engine: str, cache: Path) -> None:
    assert HOST is not None
    library = engine_library(engine, HOST)
    package = {"litert": "ai-edge-litert", "onnxruntime": "onnxruntime"}[engine]
    assert library.version == metadata.version(package)
    assert library.platform == HOST
    assert library.sha256 == hashlib.sha256(library.path.read_bytes()).hexdigest()
    assert not cache.exists()
    assert given_library(library.path, engine, HOST).version is None


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, seen: list[list[str]]) -> None:
    """`pip download` that brings this wheel, or fails."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        if wheel is None:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching\n distribution")
        (Path(command[command.index("--dest") + 1]) / "it.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(engines.subprocess, "run", run)


def archive(folder: Path, **members: bytes) -> bytes:
    path = folder / "made.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return path.read_bytes()


@pytest.fixture(scope="session")
def arm64() -> bytes:
    """Any ELF file for arm64 does for a library."""
    return native_runner(Platform("arm64")).read_bytes()


def test_a_library_comes_by_pip_once(
    arm64: bytes, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {"ai_edge_litert/libLiteRt.so": arm64, "../evil": b"no", "ai_edge_litert/other.so": b"x"}
    seen: list[list[str]] = []
    fake_pip(monkeypatch, archive(tmp_path, **members), seen)
    library = engine_library("litert", Platform("arm64"))
    assert library.path.read_bytes() == arm64
    assert library == engine_library("litert", Platform("arm64"))
    (command,) = seen
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "manylinux_2_28_aarch64" in command
    assert command[-1] == f"ai-edge-litert=={library.version}"
    assert [file.name for file in cache.rglob("*") if file.is_file()] == ["libLiteRt.so"]


def test_without_a_connection(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, [])
    with pytest.raises(EnvironmentProblem, match=r"No matching distribution.*--engine-library"):
        engine_library("onnxruntime", Platform("arm64"))
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_a_wheel_that_is_not_what_it_should_be(
    arm64: bytes, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wheel, complaint in (
        (archive(tmp_path, README=b""), "holds no"),
        (archive(tmp_path, **{"ai_edge_litert/libLiteRt.so": arm64})[:-30], "damaged"),
        (b"nothing", "damaged"),
    ):
        fake_pip(monkeypatch, wheel, [])
        with pytest.raises(InputError, match=complaint):
            engine_library("litert", Platform("arm64"))
    assert not [file for file in cache.rglob("*") if file.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_libraries_for_boards(engine: str) -> None:
    """Through pip and the network, into the user's cache."""
    library = engine_library(engine, Platform("arm64"))
    assert (library.platform, library.engine) == (Platform("arm64"), engine)
    assert library.version == metadata.version({"litert": "ai-edge-litert"}.get(engine, engine))


def test_no_package_for_phones() -> None:
    with pytest.raises(EnvironmentProblem, match="--engine-library"):
        engine_library("litert", Platform("arm64", "android"))


@pytest.mark.parametrize("engine", ["coreml", "../x"])
def test_no_such_engine(engine: str) -> None:
    with pytest.raises(UnsupportedError, match="--runner python"):
        engine_library(engine, Platform("arm64"))


def test_a_library_out_of_an_aar(arm64: bytes, cache: Path, tmp_path: Path) -> None:
    aar = tmp_path / "engine.aar"
    other = b"\x7fELF of another ABI"
    aar.write_bytes(
        archive(tmp_path, **{"jni/arm64-v8a/libonnxruntime.so": arm64, "jni/x86/libonnxruntime.so": other})
    )
    library = given_library(aar, "onnxruntime", Platform("arm64"))
    assert library.path.read_bytes() == arm64
    assert cache in library.path.parents
    with pytest.raises(InputError, match="holds no jni/armeabi"):
        given_library(aar, "onnxruntime", Platform("armv7", "android"))


@pytest.mark.parametrize("platform", [Platform("x86_64"), Platform("arm64", "android")])
def test_a_library_for_another_device(platform: Platform, arm64: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(arm64)
    with pytest.raises(InputError, match=f"is for arm64 gnu, the device is {platform}"):
        given_library(path, "litert", platform)


def test_no_library_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        given_library(tmp_path / "nothing", "litert", Platform("arm64"))
    with pytest.raises(InputError, match="cannot be read"):
        given_library(tmp_path, "litert", Platform("arm64"))
    text = tmp_path / "text"
    text.write_text("hello" * 20)
    with pytest.raises(InputError, match="no ELF file"):
        given_library(text, "litert", Platform("arm64"))


def test_elf_of_this_host() -> None:
    elf = read_elf(Path(os.path.realpath(sys.executable)))
    assert elf.libc in ("gnu", "musl")
    assert elf.needed


@given(st.data())
def test_a_damaged_elf_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(native_runner(Platform("arm64")).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers and the dynamic section are what is read.
        at = data.draw(st.integers(0, 1023))
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.so"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        elf = read_elf(path)
    except InputError:
        return
    assert elf.arch in ("arm64", "armv7", "x86_64")


def minimal_elf(needed: list[bytes], interpreter: bytes = b"", note: bytes = b"") -> bytes:
    """A 64-bit ELF file for arm64 of program headers and their contents only, mapped at address 0."""
    names, offsets = b"\0", []
    for name in needed:
        offsets.append(len(names))
        names += name + b"\0"
    parts = [names, interpreter, note]
    starts = [64 + 56 * 4 + sum(map(len, parts[:index])) for index in range(3)]
    entries = [(1, offset) for offset in offsets] + [(5, starts[0]), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    place = starts[2] + len(note)
    size = place + len(dynamic)
    headers = [
        (1, 0, size),
        (2, place, len(dynamic)),
        (3, starts[1], len(interpreter)),
        (4, starts[2], len(note)),
    ]
    start = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, at, at, at, length, length, 8) for kind, at, length in headers
    )
    return start + table + b"".join(parts) + dynamic


@pytest.mark.parametrize(
    ("elf", "libc"),
    [
        (minimal_elf([b"libm.so.6", b"libc.so.6"]), "gnu"),
        (minimal_elf([b"libc.so"]), "musl"),
        (minimal_elf([b"libc.musl-aarch64.so.1"]), "musl"),
        (minimal_elf([b"libc.so", b"libdl.so"]), "android"),
        (minimal_elf([b"libc.so"], b"/system/bin/linker64\0"), "android"),
        (minimal_elf([b"libc.so"], note=struct.pack("<III", 8, 4, 1) + b"Android\0" + bytes(4)), "android"),
        (minimal_elf([]), None),
    ],
)
def test_the_c_library_of_an_elf(elf: bytes, libc: str | None, tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(elf)
    assert (read_elf(path).arch, read_elf(path).libc) == ("arm64", libc)
