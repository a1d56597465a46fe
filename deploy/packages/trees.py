"""A folder or an archive, read alike: names, and bytes up to a limit."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from mobiledeploy.deploy.packages.plan import is_inside
from mobiledeploy.errors import InputError

# Of one entry, when it is unpacked: more than any model for a phone.
MOST_BYTES = 2**30
_MOST_ENTRIES = 200_000
# What zipfile raises for damaged, encrypted or strangely compressed entries.
_DAMAGE = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error)
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Tree(Protocol):
    """Files by name, with forward slashes."""

    @property
    def where(self) -> str: ...

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            InputError: it is damaged or too large.
            KeyError: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderTree:
    """A folder.  Links are not followed."""

    folder: Path

    @property
    def where(self) -> str:
        """For messages."""
        return str(self.folder)

    def names(self) -> list[str]:
        """All files below it, sorted."""
        return sorted(self._walk())

    def _walk(self) -> Iterator[str]:
        for base, _, files in os.walk(self.folder):
            for name in files:
                path = Path(base, name)
                if path.is_file() and not path.is_symlink():
                    yield path.relative_to(self.folder).as_posix()

    def read(self, name: str) -> bytes:
        """See ``Tree.read``."""
        path = self.folder / name
        if not is_inside(PurePosixPath(name)) or path.is_symlink() or not path.is_file():
            raise KeyError(name)
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"has more than {MOST_BYTES} bytes", where=str(path))
        return path.read_bytes()


class ZipTree:
    """An archive: APK, AAR, wheel, or any other zip.

    Args:
        path: of the file, or its bytes.
        where: for messages, where it has no path.

    Raises:
        InputError: it is no zip, or one made to do harm: paths that climb, entries that overlap or
            that unpack to far more than they hold.
    """

    def __init__(self, path: Path | BytesIO, where: str = "") -> None:
        self.where = where or str(path)
        hint = "Build it again"
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise InputError(
                f"this is no zip archive ({' '.join(str(error).split())})", where=self.where, hint=hint
            ) from error
        self._entries = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}
        try:
            self._refuse_harm(hint)
        except InputError:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """All files in it, sorted."""
        return sorted(self._entries)

    def read(self, name: str) -> bytes:
        """See ``Tree.read``."""
        info = self._entries[name]
        place = f"{self.where}: {name}"
        try:
            with self._zip.open(info) as stream:
                content = stream.read(info.file_size + 1)
        except (
            zipfile.BadZipFile,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
            zlib.error,
        ) as error:
            raise InputError(
                f"cannot be unpacked ({' '.join(str(error).split())})", where=place, hint="Build it again"
            ) from error
        if len(content) != info.file_size:
            raise InputError("does not have the size that it says", where=place, hint="Build it again")
        return content

    def is_stored(self, name: str) -> bool:
        """Whether a file lies in the archive as it is, not compressed."""
        return self._entries[name].compress_type == zipfile.ZIP_STORED

    def offset(self, name: str) -> int:
        """Where the bytes of a stored file begin in the archive."""
        info = self._entries[name]
        with Path(self.where).open("rb") as file:
            file.seek(info.header_offset)
            head = file.read(_LOCAL_HEADER.size)
        if len(head) != _LOCAL_HEADER.size or head[:4] != b"PK\3\4":
            raise InputError(
                "its local header is damaged", where=f"{self.where}: {name}", hint="Build it again"
            )
        _, names, extra = _LOCAL_HEADER.unpack(head)
        return int(info.header_offset + _LOCAL_HEADER.size + names + extra)

    def nested(self, name: str) -> ZipTree:
        """An archive that lies in this one.

        Raises:
            InputError: as the class itself.
        """
        return ZipTree(BytesIO(self.read(name)), f"{self.where}: {name}")

    def _refuse_harm(self, hint: str) -> None:
        infos = self._zip.infolist()
        if len(infos) > _MOST_ENTRIES:
            raise InputError(f"holds {len(infos)} entries", where=self.where, hint=hint)
        end = 0
        for info in sorted(infos, key=lambda item: item.header_offset):
            place = f"{self.where}: {info.filename}"
            if not is_inside(PurePosixPath(info.filename)):
                raise InputError("its path leaves the archive", where=place, hint=hint)
            if info.header_offset < end:
                raise InputError("overlaps another entry", where=place, hint=hint)
            if info.file_size > MOST_BYTES:
                raise InputError(
                    f"unpacks to {info.file_size} bytes, more than {MOST_BYTES}", where=place, hint=hint
                )
            end = info.header_offset + 30 + info.compress_size
        if len({info.filename for info in infos}) != len(infos):
            raise InputError("two entries have the same name", where=self.where, hint=hint)


def as_tree(path: Path) -> FolderTree | ZipTree:
    """A folder or an archive.

    Raises:
        InputError: it is neither, or is not there; see ``ZipTree``.
    """
    if path.is_dir():
        return FolderTree(path)
    if not path.exists():
        raise InputError("no such file or folder", where=str(path), hint="Check the path")
    return ZipTree(path)
