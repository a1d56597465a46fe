"""A copy of this repository's files, as a clean checkout has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LIST = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def copy_checkout(target: Path) -> Path:
    """Building a package leaves files where its source is: not here."""
    names = subprocess.run(_LIST, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        # One that was removed is still in the index.
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name, follow_symlinks=False)
    return target
