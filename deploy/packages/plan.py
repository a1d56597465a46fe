"""What a package will hold, before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from mobiledeploy.errors import InputError

# In the form that `sha256sum -c` takes.
LISTING = "FILES.sha256"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a package.

    Attributes:
        path: relative to the package's folder.
        content: its bytes.
    """

    path: PurePosixPath
    content: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """A package as it will be written.

    Attributes:
        platform: that it is for.
        name: of the class that an app calls.
        files: sorted by path, each path once.
    """

    platform: str
    name: str
    files: tuple[PlannedFile, ...]


def make_plan(platform: str, name: str, files: Iterable[PlannedFile]) -> PackagePlan:
    """Sort the files, and refuse paths that would leave the folder.

    Raises:
        InputError: a path is absolute, climbs, or comes twice.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    seen: set[PurePosixPath] = set()
    for file in ordered:
        if not is_inside(file.path) or file.path in seen:
            raise InputError(
                f"{str(file.path)!r} is no path of its own inside the package",
                hint="Choose another --name or --namespace",
            )
        seen.add(file.path)
    return PackagePlan(platform, name, ordered)


def is_inside(path: PurePosixPath) -> bool:
    """Whether a relative path stays below where it starts."""
    text = str(path)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in text and "\0" not in text


def place(folder: str | PurePosixPath, files: Iterable[PlannedFile]) -> Iterator[PlannedFile]:
    """The same files below a folder."""
    for file in files:
        yield PlannedFile(PurePosixPath(folder) / file.path, file.content)


def text_file(path: str | PurePosixPath, text: str) -> PlannedFile:
    """A file of UTF-8 text."""
    return PlannedFile(PurePosixPath(path), text.encode())
