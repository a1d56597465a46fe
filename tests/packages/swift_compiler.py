"""Swift's compiler of Debian 13, in a root file system of its own (``make swift-tools``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MOBILEDEPLOY_SWIFT", Path(__file__).parents[2] / "build" / "swift"))
COMPILER = "/usr/libexec/swift/bin/swiftc"
CHROOT = shutil.which("chroot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_swift = pytest.mark.skipif(
    not (ROOT / COMPILER[1:]).exists() or CHROOT is None or os.geteuid() != 0,
    reason="needs Debian's Swift compiler, and root: make swift-tools",
)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder inside the root file system."""
    folder = ROOT / "tmp" / uuid.uuid4().hex
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def inside(path: Path) -> str:
    """How programs in there call a path."""
    return f"/{path.relative_to(ROOT)}"


def run(*command: str) -> str:
    """What a program in there says; it has to end well."""
    assert CHROOT
    done = subprocess.run([CHROOT, str(ROOT), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


def swiftc(folder: Path, files: Mapping[str, str], *options: str) -> str:
    """Write files into a folder there, and compile them; returns the warnings."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return run(COMPILER, *options, *(inside(folder / name) for name in files))
