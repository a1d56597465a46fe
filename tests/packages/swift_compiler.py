"""Swift's compiler of Debian 13, in a root file system of its own (``make swift-tools``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from needed import needs

ROOT = Path(os.environ.get("MOBILEDEPLOY_SWIFT", Path(__file__).parents[2] / "build" / "swift"))
COMPILER = "/usr/libexec/swift/bin/swiftc"
# The compiler finds its libraries by /proc; what is mounted here ends with the program.
_ENTER = 'mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && exec /usr/sbin/chroot "$0" "$@"'
_INSIDE = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(ROOT))

needs_swift = needs(
    (ROOT / COMPILER[1:]).exists() and os.geteuid() == 0,
    "needs Debian's Swift compiler, and root: make swift-tools",
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
    done = subprocess.run([*_INSIDE, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


def swiftc(folder: Path, files: Mapping[str, str], *options: str) -> str:
    """Write files into a folder there, and compile them; returns the warnings."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return run(COMPILER, *options, *(inside(folder / name) for name in files))
