"""Programs that the tests marked ``android`` need, and how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from needed import lacks, needs

from mobiledeploy.deploy.packages.platforms.android.kotlin import find_kotlinc

PROGRAMS = ("aapt2", "apksigner", "java", "javac", "javap", "keytool", "kotlinc", "smali", "zipalign")
JARS = Path("/usr/share/java")
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
STDLIB = (JARS / "kotlin-stdlib.jar",)
JUNIT = (JARS / "junit4.jar", JARS / "hamcrest-core.jar")
# The package that carries ONNX Runtime's Android library.
_ONNX_RUNTIME = "com.github.asus4.onnxruntime@0.4.9"
_NO_NPM = "needs npm: make android-tools"
_KOTLIN = "kotlin-compiler@2.4.20"

needs_tools = needs(
    find_kotlinc() is not None
    and all(shutil.which(name) for name in PROGRAMS)
    and all(path.exists() for path in (FRAMEWORK, *STDLIB, *JUNIT)),
    "needs Debian's Android tools: make android-tools",
)


def run(*command: object, cwd: Path | None = None) -> str:
    """What a program prints; a failure shows all that it said."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def java(main: str, classpath: Iterable[Path], *arguments: str | Path) -> str:
    return run("java", "-cp", os.pathsep.join(map(str, classpath)), main, *arguments)


def onnx_runtime_classes(folder: Path) -> Path:
    """The classes of ONNX Runtime's Android library, as its makers publish them."""
    if shutil.which("npm") is None:
        lacks(_NO_NPM)
    run("npm", "pack", "--silent", _ONNX_RUNTIME, cwd=folder)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as tar:
        library = tar.extractfile("package/Plugins/Android/onnxruntime.aar")
        assert library
        (folder / "onnxruntime.aar").write_bytes(library.read())
    shutil.unpack_archive(folder / "onnxruntime.aar", folder / "aar", "zip")
    return folder / "aar" / "classes.jar"


def kotlin_of_today(factory: pytest.TempPathFactory) -> Path:
    """A current kotlinc, beside Debian's of 2019; unpacked once."""
    folder = factory.getbasetemp() / "kotlin-of-today"
    if not folder.exists():
        if shutil.which("npm") is None:
            lacks(_NO_NPM)
        folder.mkdir()
        run("npm", "pack", "--silent", _KOTLIN, cwd=folder)
        (archive,) = folder.glob("*.tgz")
        shutil.unpack_archive(archive, folder)
    compiler = folder / "package" / "bin" / "kotlinc"
    compiler.chmod(0o755)
    return compiler
