"""The engine's shared library for a device: from the engine's official wheel, or given by the user."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.runtimes.runner.cache import cache_folder, cached
from mobiledeploy.runtimes.runner.elf import read_elf
from mobiledeploy.runtimes.runner.platforms import ARM64, ARMV7, GNU, X86_64, Platform, host_platform

DOWNLOAD_TIMEOUT = 900.0
LARGEST_LIBRARY = 1 << 30
# Wheels differ by Python, the library in them does not: one that every version of an engine has.
PYTHON = "3.12"
_WHEEL_ARCHS: Mapping[str, str] = MappingProxyType({ARM64: "aarch64", ARMV7: "armv7l", X86_64: "x86_64"})
# glibc of the manylinux tags that a wheel may have.
_GLIBC_TAGS = tuple(f"manylinux_2_{minor}" for minor in range(17, 42))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an engine's library is: package, module, file in it, the version to get, the least one."""

    package: str
    module: str
    member: re.Pattern[str]
    version: str
    least: tuple[int, ...]
    in_aar: str


_SOURCES: Mapping[str, _Source] = MappingProxyType(
    {
        "litert": _Source(
            *("ai-edge-litert", "ai_edge_litert", re.compile(r"ai_edge_litert/libLiteRt\.so")),
            *("2.3.0", (2, 2), "libLiteRt.so"),
        ),
        "onnxruntime": _Source(
            *("onnxruntime", "onnxruntime", re.compile(r"onnxruntime/capi/libonnxruntime\.so(\.[0-9]+)+")),
            *("1.32.0", (1, 17), "libonnxruntime.so"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class EngineLibrary:
    """An engine's shared library on this host.

    Attributes:
        engine: ``litert`` or ``onnxruntime``.
        path: the file.
        version: of the wheel that it is from; None: given by the user.
        sha256: of the file.
        platform: what it runs on, by its own headers.
    """

    engine: str
    path: Path
    version: str | None
    sha256: str
    platform: Platform


def engine_library(engine: str, platform: Platform) -> EngineLibrary:
    """The engine's library for a device, from the official wheel for that device.

    The version is the one that is installed on this host, if any.  For this host's own platform it is
    taken from there; else the wheel is fetched by pip, once, from where pip is configured to look.

    Raises:
        EnvironmentProblem: pip cannot get it, or there is no wheel for this platform.
        UnsupportedError: the engine has no library that the native runner could load.
        OutputError: the cache folder cannot be written to.
    """
    source = _source(engine)
    installed = _installed(source)
    if platform.libc != GNU:
        raise EnvironmentProblem(
            f"{engine} comes in no Python package for {platform}",
            hint=f"Give its library or AAR with --engine-library ({source.in_aar})",
        )
    if installed and platform == host_platform() and (own := _own_library(source)):
        return _described(engine, own, installed, platform)
    version = installed or source.version
    place = cache_folder() / "engines" / f"{source.package}-{version}-{platform.arch}" / source.in_aar
    python = f"{sys.version_info.major}.{sys.version_info.minor}" if installed else PYTHON
    cached(place, lambda part: _download(source, version, python, platform, part))
    return _described(engine, place, version, platform)


def given_library(path: Path, engine: str, platform: Platform) -> EngineLibrary:
    """A library that the user gives for a device.

    Args:
        path: an ELF shared library, or an AAR that holds one for the device's ABI.
        engine: ``litert`` or ``onnxruntime``.
        platform: of the device.

    Raises:
        InputError: it is no library for such a device.
        UnsupportedError: as ``engine_library``.
        OutputError: what is inside an AAR cannot be written to the cache folder.
    """
    source = _source(engine)
    try:
        if zipfile.is_zipfile(path):
            path = _from_aar(path, source.in_aar, platform)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", where=str(path), hint="Check the path"
        ) from error
    return _described(engine, path, None, platform)


def _source(engine: str) -> _Source:
    if engine not in _SOURCES:
        raise UnsupportedError(
            f"the native runner has no engine {engine}",
            hint=f"It has {', '.join(_SOURCES)}; or use --runner python",
        )
    return _SOURCES[engine]


def _installed(source: _Source) -> str | None:
    """The version on this host, if the runner can use it."""
    try:
        version = metadata.version(source.package)
    except metadata.PackageNotFoundError:
        return None
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return version if numbers >= source.least else None


def _own_library(source: _Source) -> Path | None:
    spec = find_spec(source.module)
    if spec is None or not spec.origin:
        return None
    site = Path(spec.origin).parents[1]
    inside = sorted(Path(spec.origin).parent.rglob("*.so*"))
    return next((file for file in inside if source.member.fullmatch(file.relative_to(site).as_posix())), None)


def _download(source: _Source, version: str, python: str, platform: Platform, part: Path) -> None:
    wanted = f"{source.package}=={version}"
    tags = [word for tag in _GLIBC_TAGS for word in ("--platform", f"{tag}_{_WHEEL_ARCHS[platform.arch]}")]
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        command = [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"),
            *("--disable-pip-version-check", "--quiet", "--implementation", "cp", "--python-version", python),
            *(*tags, "--dest", folder, wanted),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                check=False,
                timeout=DOWNLOAD_TIMEOUT,
            )
            said = done.stderr if done.returncode else ""
        except subprocess.TimeoutExpired:
            said = f"took longer than {DOWNLOAD_TIMEOUT:g} s"
        wheels = sorted(Path(folder).glob("*.whl"))
        if said or not wheels:
            why = " ".join(said.split())[-400:] or "no wheel came"
            raise EnvironmentProblem(
                f"pip cannot get {wanted} for {platform} ({why})",
                hint=f"Give the library with --engine-library ({source.in_aar}), or see to the connection",
            )
        _extract(wheels[0], source.member, part)


def _extract(archive: Path, member: re.Pattern[str], part: Path) -> None:
    """The one file of an archive that matches, as ``part``: no name in the archive becomes a path."""
    try:
        with zipfile.ZipFile(archive) as file:
            found = [info for info in file.infolist() if member.fullmatch(info.filename)]
            if not found:
                raise InputError(
                    f"holds no {member.pattern}", where=str(archive), hint="Give the library itself"
                )
            if found[0].file_size > LARGEST_LIBRARY:
                raise InputError(f"{found[0].filename} is too large", where=str(archive))
            with file.open(found[0]) as packed, part.open("wb") as out:
                shutil.copyfileobj(packed, out)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"is damaged ({error})", where=str(archive), hint="Get it again") from error


def _from_aar(path: Path, name: str, platform: Platform) -> Path:
    place = cache_folder() / "engines" / _digest(path)[:32] / platform.abi / name
    member = re.compile(f"jni/{re.escape(platform.abi)}/{re.escape(name)}")
    return cached(place, lambda part: _extract(path, member, part))


def _described(engine: str, path: Path, version: str | None, platform: Platform) -> EngineLibrary:
    elf = read_elf(path)
    if elf.arch != platform.arch or elf.libc not in (None, platform.libc):
        raise InputError(
            f"is for {elf.arch} {elf.libc or ''}".rstrip() + f", the device is {platform}",
            where=str(path),
            hint="Give the library for that device",
        )
    return EngineLibrary(engine, path, version, _digest(path), Platform(elf.arch, elf.libc or platform.libc))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
