"""Digests of files and folders; a file that was not touched is not read again.

What is trusted: a file whose device, inode, size, time of change of its content and time of change of its
inode are what they were has the content that it had.  Programs can set the first time, not the second one.
A file that changed less than two seconds before it was read is read again next time: a clock's tick may hide
a second change.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.pipeline.sealed import unseal
from mobiledeploy.errors import InputError

_SETTLED_NS = 2_000_000_000
_IGNORED = ("__pycache__",)


class Digests:
    """Digests that are remembered.

    Args:
        file: where they are kept, see ``to_json``; whatever is wrong with it, they are made anew.
    """

    def __init__(self, file: Path) -> None:
        known = unseal(file)
        self._known: dict[str, list[Any]] = known if isinstance(known, dict) else {}
        self._used: dict[str, list[Any]] = {}

    def to_json(self) -> dict[str, list[Any]]:
        """What was asked for, for the next time."""
        return self._used

    def of(self, path: Path, *, code: bool = False, without: Path | None = None) -> str:
        """sha256 of a file, or of a folder's names and files; hidden ones are left out.

        Args:
            path: links are followed; in a folder those to folders are not, as nothing else follows them.
            code: of a folder only Python files, and no folder that is an environment.
            without: a folder in it that is left out.

        Raises:
            InputError: it is not there, or cannot be read.
        """
        # A data set has thousands of files, and text is quicker than paths.
        root = os.path.abspath(path)  # noqa: PTH100 (links stay)
        try:
            if not path.is_dir():
                return self._file(root)
            left_out = os.path.abspath(without) if without else ""  # noqa: PTH100
            whole = hashlib.sha256()
            for name, file in sorted(_inside(root, code, left_out)):
                whole.update(f"{name}\0{self._file(file) if file else ''}\0".encode(errors="surrogateescape"))
            return whole.hexdigest()
        except FileNotFoundError as error:
            what = f"no such file: {error.filename}" if path.exists() else "no such file or folder"
            raise InputError(what, where=str(path), hint="Check the path") from error
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", where=str(path), hint="Check its permissions"
            ) from error

    def _file(self, path: str) -> str:
        signature = _signature(path)
        found = self._known.get(path)
        if found is None or found[:-1] != signature:
            with Path(path).open("rb") as file:
                found = [*signature, hashlib.file_digest(file, "sha256").hexdigest()]
            settled = time.time_ns() - max(signature[3:]) > _SETTLED_NS
            if not settled or _signature(path) != signature:
                return str(found[-1])
            self._known[path] = found
        self._used[path] = found
        return str(found[-1])


def _signature(path: str) -> list[int]:
    seen = os.stat(path)  # noqa: PTH116
    return [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]


def _inside(root: str, code: bool, left_out: str) -> Iterator[tuple[str, str]]:
    """(relative name, file) of all that is in a folder; folders have no file: an empty one may be a class."""
    for base, folders, files in os.walk(root, onerror=_fail):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _IGNORED
            and f"{base}/{name}" != left_out
            and not (code and Path(base, name, "pyvenv.cfg").exists())
        ]
        below = f"{base[len(root) :]}/"
        if not code:
            yield from ((f"{below}{name}/", "") for name in folders)
        for name in files:
            if not name.startswith(".") and (not code or name.endswith(".py")):
                yield f"{below}{name}", f"{base}/{name}"


def _fail(error: OSError) -> None:
    raise error
