"""The AAR: the module's classes and assets in one archive, as Android's Gradle plugin takes it.

Its form: developer.android.com, "Anatomy of an AAR file".
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mobiledeploy.deploy.packages.archives import ArchiveEntry, write_archive
from mobiledeploy.deploy.packages.platforms.android.kotlin import STUBS, compile_kotlin
from mobiledeploy.deploy.packages.platforms.android.values import MIN_SDK, TEMPLATES, values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.writing import writing

# Memory pages of most phones: what begins on one can be mapped without more.
_PAGE = 4096
# What a library asks of the app's build.
_METADATA = f"aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk={MIN_SDK}\n"
_METADATA_PATH = "META-INF/com/android/build/gradle/aar-metadata.properties"


def build_aar(subject: Subject, folder: Path, compiler: Path) -> None:
    """Compile a package's sources and write the archive beside them.

    Args:
        subject: what was packaged.
        folder: of the package.
        compiler: kotlinc.

    Raises:
        EnvironmentProblem: the compiler fails.
    """
    main, known = folder / "src" / "main", values(subject)
    manifest = Templates(TEMPLATES).render("AndroidManifest.xml.j2", archive=True, **known)
    entries = [
        ArchiveEntry("AndroidManifest.xml", manifest.encode()),
        ArchiveEntry("R.txt", b""),
        ArchiveEntry(
            "classes.jar", _classes(main / "kotlin", compiler, f"{subject.namespace}.{subject.name}")
        ),
        ArchiveEntry("proguard.txt", (folder / "consumer-rules.pro").read_bytes()),
        ArchiveEntry(_METADATA_PATH, _METADATA.encode()),
        *(_asset(file, main) for file in (main / "assets").rglob("*") if file.is_file()),
    ]
    write_archive(folder / known["aar"], entries)


def _asset(file: Path, main: Path) -> ArchiveEntry:
    is_model = file.stem == "model"
    return ArchiveEntry(file.relative_to(main).as_posix(), file.read_bytes(), _PAGE if is_model else 0)


def _classes(sources: Path, compiler: Path, module: str) -> bytes:
    with tempfile.TemporaryDirectory() as temporary, writing(Path(temporary)):
        output = Path(temporary, "classes")
        files = sorted(sources.rglob("*.kt"))
        compile_kotlin(compiler, [*files, STUBS], output, module=module)
        compiled = [
            ArchiveEntry(file.relative_to(output).as_posix(), file.read_bytes())
            for file in output.rglob("*")
            if file.is_file()
        ]
        jar = Path(temporary, "classes.jar")
        write_archive(jar, compiled)
        shutil.rmtree(output)
        return jar.read_bytes()
