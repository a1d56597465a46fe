"""The user's cache folder: files there are made once, appear whole, and may be deleted at any time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mobiledeploy.errors import OutputError


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/mobiledeploy``, by default ``~/.cache/mobiledeploy``; not made yet."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # By that specification a relative path is to be ignored.
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "mobiledeploy"


def cached(place: Path, make: Callable[[Path], None]) -> Path:
    """A file of the cache, made if it is not there.

    Two processes may make it at once: each has a folder of its own, and the last rename wins.

    Args:
        place: where it belongs.
        make: writes it to the path it is given, in an empty folder on the same disk.

    Raises:
        OutputError: the cache cannot be written to.
    """
    if place.is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    except OSError as error:
        raise _unwritable(error) from error
    try:
        part = folder / place.name
        make(part)
        part.replace(place)
    except OSError as error:
        raise _unwritable(error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return place


def _unwritable(error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written ({error.strerror or error})",
        where=str(error.filename or cache_folder()),
        hint="Point XDG_CACHE_HOME to a folder with room in it",
    )
