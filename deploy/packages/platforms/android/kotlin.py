"""Kotlin's compiler, and the words that a class cannot be called by."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from mobiledeploy.errors import EnvironmentProblem

# Signatures of the classes that the generated code calls: enough to compile against, nothing to run.
STUBS = Path(__file__).parent / "stubs"
_TIMEOUT = 600.0
# Android's tools take class files of Java 8 everywhere.
_OPTIONS = ("-jvm-target", "1.8", "-nowarn")
# Classes that the generated code defines or uses.
RESERVED = frozenset(
    {
        *("AnchorGrid", "Box", "Candidate", "Detection", "DetectionDecoding", "Detections", "HashMap"),
        *("IllegalArgumentException", "Number", "Pair", "Place", "Places", "Region", "Tags", "Vectors"),
        *("ArrayList", "File", "DecodingTest"),
        *("AndroidJUnit4", "Any", "Array", "Assert", "AssetManager", "Bitmap", "Boolean", "Buffer"),
        *(
            "ByteArray",
            "ByteBuffer",
            "ByteOrder",
            "Category",
            "Channels",
            "Charsets",
            "Closeable",
            "Companion",
        ),
        *("Accelerator", "Config", "Context", "Delegate", "Double", "DoubleArray", "Engine", "Error"),
        *("Exception", "FileChannel", "FileInputStream", "FileNotFoundException", "Float", "FloatArray"),
        *("Geometry", "GpuDelegate", "IllegalStateException", "InputEncoding", "InputKind", "InputStream"),
        *("InstrumentationRegistry", "Int", "IntArray", "Interpolation", "Interpreter", "JvmField"),
        *("JvmOverloads", "JvmStatic", "LinkageError", "List", "Log", "Long", "LongArray", "MapMode", "Math"),
        *("ModelContract", "Nothing", "Object", "OnnxJavaType", "OnnxTensor", "Options", "OrtEnvironment"),
        *("OrtException", "OrtSession", "OutputDecoding", "OutputKind", "Ppm", "Preprocessing", "RunWith"),
        *(
            "Runtime",
            "RuntimeException",
            "SessionOptions",
            "Short",
            "Source",
            "String",
            "Synchronized",
            "Test",
        ),
        *("Unit", "Window"),
    }
)


def find_kotlinc() -> Path | None:
    """Kotlin's command line compiler: that of ``KOTLIN_HOME``, else the first on the path."""
    home = os.environ.get("KOTLIN_HOME")
    found = shutil.which("kotlinc", path=str(Path(home, "bin")) if home else None)
    return Path(found) if found else None


def compile_kotlin(
    compiler: Path, sources: Iterable[Path], output: Path, *, module: str, classpath: Iterable[Path] = ()
) -> None:
    """Compile sources to class files for any Android.

    Args:
        compiler: kotlinc, 1.3 or later.
        sources: Kotlin files, and folders or files of Java sources that are looked at only.
        output: folder of the class files.
        module: its name; an app cannot hold two modules of one name.
        classpath: jars and folders.

    Raises:
        EnvironmentProblem: the compiler fails; shows the first thing that it says.
    """
    command = [str(compiler), *_OPTIONS, "-d", str(output), "-module-name", module]
    given = os.pathsep.join(map(str, classpath))
    command += [*(["-classpath", given] if given else []), *map(str, sources)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(
            f"kotlinc cannot be run ({error})", where=str(compiler), hint="Install it again"
        ) from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "error:" in line]
        said = lines[0] if lines else (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise EnvironmentProblem(
            f"kotlinc does not compile the package ({Path(said).name})",
            where=str(compiler),
            hint="Install Kotlin 1.3 or later, and a Java that it runs on",
        )
