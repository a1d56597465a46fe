"""A file or a folder that travels to another host, whole and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.errors import InputError

# Of a file alone.
WHOLE = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes on their way.

    Attributes:
        name: of the file or folder.
        members: path below the folder, ``WHOLE`` for a file, and bytes; in order of path.
        sha256: of names and bytes, taken where it was packed.
    """

    name: str
    members: tuple[tuple[str, bytes], ...]
    sha256: str

    def unpack(self, folder: Path) -> Path:
        """Write it into a folder.

        Returns:
            The file, or the folder of that name.

        Raises:
            InputError: it is damaged, or would be written elsewhere.
        """
        target = folder / _plain(self.name)
        for member, content in self.members:
            path = target if member == WHOLE else target.joinpath(*_inside(member))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        # Of what is on the disk now, not of what was meant to be.
        if pack(target) != self:
            raise InputError(
                "it did not arrive as it was sent", where=one_line(self.name), hint="Run it again"
            )
        return target


def pack(path: Path, only: Sequence[Path] | None = None) -> Parcel:
    """Read a file, or a folder.

    Args:
        path: of it.
        only: files below the folder; None: all.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if path.is_dir():
            below = [item for item in path.rglob("*") if item.is_file()] if only is None else only
            files = sorted(item.relative_to(path).as_posix() for item in below)
            members = tuple((file, (path / file).read_bytes()) for file in files)
        else:
            members = ((WHOLE, path.read_bytes()),)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(path), hint="Check the path"
        ) from error
    return Parcel(path.name or path.resolve().name, members, _digest(members))


def _digest(members: Iterable[tuple[str, bytes]]) -> str:
    whole = hashlib.sha256()
    for member, content in members:
        # Digests of equal length, so that no name can pass for content.
        whole.update(hashlib.sha256(member.encode(errors="surrogateescape")).digest())
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


def _plain(name: str) -> str:
    if name in ("", ".", "..") or PurePosixPath(name).name != name or "\0" in name:
        raise _elsewhere(name)
    return name


def _inside(member: str) -> tuple[str, ...]:
    return tuple(_plain(part) for part in member.split("/"))


def _elsewhere(name: str) -> InputError:
    return InputError(
        "this is no name of a file in a parcel", where=one_line(repr(name)), hint="Give the file another name"
    )
