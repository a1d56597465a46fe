"""The native runner, compiled for a device on first use and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from mobiledeploy.errors import EnvironmentProblem, MobileDeployError, UnsupportedError
from mobiledeploy.runtimes.runner.cache import cache_folder, cached
from mobiledeploy.runtimes.runner.elf import read_elf
from mobiledeploy.runtimes.runner.platforms import ANDROID, ARM64, ARMV7, GNU, X86_64, Platform

SOURCES = Path(__file__).parent / "native"
NAME = "mobiledeploy-runner"
NDK_VARIABLE = "ANDROID_NDK_HOME"
COMPILE_TIMEOUT = 300.0
# Debian 10 and newer.
_ZIG_TARGETS: Mapping[str, str] = MappingProxyType(
    {
        ARM64: "aarch64-linux-gnu.2.28",
        ARMV7: "arm-linux-gnueabihf.2.28",
        X86_64: "x86_64-linux-gnu.2.28",
    }
)
# Android 7 and newer.
_NDK_TRIPLES: Mapping[str, str] = MappingProxyType(
    {
        ARM64: "aarch64-linux-android24",
        ARMV7: "armv7a-linux-androideabi24",
        X86_64: "x86_64-linux-android24",
    }
)
FLAGS = (
    *("-std=c11", "-D_DEFAULT_SOURCE", "-D_FILE_OFFSET_BITS=64"),
    *("-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-fPIE", "-pie", "-s"),
)
# Android 15 may have pages of 16 KiB.
_ANDROID_FLAGS = ("-Wl,-z,max-page-size=16384",)
_LIBRARIES = ("-ldl",)


@dataclass(frozen=True, slots=True)
class _Compiler:
    command: tuple[str, ...]
    flags: tuple[str, ...]
    version: str


def native_runner(platform: Platform) -> Path:
    """The runner for a device, in the cache folder; compiled there if it is not.

    The same sources, compiler and flags give the same bytes.

    Raises:
        EnvironmentProblem: the compiler is not installed, or fails.
        UnsupportedError: no runner can be built for this platform.
        OutputError: the cache folder cannot be written to.
    """
    compiler = _compiler(platform)
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(repr((str(platform), compiler.flags, compiler.version)).encode())
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\n".encode() + content)
    place = cache_folder() / "runner" / digest.hexdigest()[:32] / NAME
    names = [source.name for source in sources if source.suffix == ".c"]
    return cached(place, lambda part: _compile(compiler, names, platform, part))


def _compiler(platform: Platform) -> _Compiler:
    if platform.libc == GNU and platform.arch in _ZIG_TARGETS:
        return _zig(_ZIG_TARGETS[platform.arch])
    if platform.libc == ANDROID and platform.arch in _NDK_TRIPLES:
        return _ndk(_NDK_TRIPLES[platform.arch])
    raise UnsupportedError(
        f"no native runner can be built for {platform}",
        hint="Use the Python runner on that device: --runner python",
    )


def _zig(target: str) -> _Compiler:
    if find_spec("ziglang") is None:
        raise EnvironmentProblem(
            "the native runner is compiled with ziglang, which is not installed",
            hint="pip install 'mobiledeploy[runner]'",
        )
    command = (sys.executable, "-m", "ziglang", "cc")
    return _Compiler(command, ("-target", target, *FLAGS), f"ziglang {metadata.version('ziglang')}")


def _ndk(triple: str) -> _Compiler:
    home = os.environ.get(NDK_VARIABLE, "")
    found = sorted(Path(home).glob(f"toolchains/llvm/prebuilt/*/bin/{triple}-clang")) if home else []
    if not found:
        raise EnvironmentProblem(
            f"no {triple}-clang in {NDK_VARIABLE} ({home})"
            if home
            else f"the native runner for Android is compiled with the NDK, and {NDK_VARIABLE} is not set",
            hint=f"Install the Android NDK and let {NDK_VARIABLE} name its folder",
        )
    said = _run((str(found[0]), "--version"), Path.cwd())
    return _Compiler((str(found[0]),), (*FLAGS, *_ANDROID_FLAGS), said.partition("\n")[0])


def _compile(compiler: _Compiler, names: list[str], platform: Platform, part: Path) -> None:
    # Relative names, so that no path of this host gets into the program.
    _run((*compiler.command, *compiler.flags, "-o", str(part), *names, *_LIBRARIES), SOURCES)
    built = read_elf(part)
    if (built.arch, built.libc) != (platform.arch, platform.libc):
        raise EnvironmentProblem(
            f"the compiler made a program for {built.arch} {built.libc} instead of {platform}",
            where=compiler.command[0],
            hint="Install it again",
        )
    part.chmod(0o755)


def _run(command: tuple[str, ...], folder: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
            timeout=COMPILE_TIMEOUT,
        )
    except OSError as error:
        raise _broken(command, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise _broken(command, f"took longer than {COMPILE_TIMEOUT:g} s") from error
    if done.returncode:
        raise _broken(command, " ".join(done.stderr.split())[:500])
    return done.stdout


def _broken(command: tuple[str, ...], why: str) -> MobileDeployError:
    return EnvironmentProblem(
        f"the native runner cannot be compiled ({why})",
        where=command[0],
        hint="Install the compiler again, or use --runner python",
    )
