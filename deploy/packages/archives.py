"""Zip archives whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# The first moment that a zip can express.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ORDINARY_FILE = 0o100644 << 16
_UNIX = 3
# Extra field that zipalign writes and readers ignore: size, the alignment, and zeros that move the data.
_ALIGNMENT, _FIELD = 0xD935, struct.Struct("<HHH")
_LOCAL_HEADER = 30


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One file of an archive.

    Attributes:
        name: its path there, with forward slashes.
        content: its bytes.
        aligned: 0: compressed; else stored as it is, beginning at a multiple of this.
    """

    name: str
    content: bytes
    aligned: int = 0


def write_archive(path: Path, entries: Iterable[ArchiveEntry]) -> None:
    """Write entries in order of name, without times and owners."""
    with zipfile.ZipFile(path, "w") as archive:
        for entry in sorted(entries, key=lambda item: item.name):
            info = zipfile.ZipInfo(entry.name, _EPOCH)
            info.create_system, info.external_attr = _UNIX, _ORDINARY_FILE
            if entry.aligned:
                info.extra = _padding(archive, entry)
            else:
                info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.content)


def _padding(archive: zipfile.ZipFile, entry: ArchiveEntry) -> bytes:
    begin = archive.start_dir + _LOCAL_HEADER + len(entry.name.encode()) + _FIELD.size
    zeros = -begin % entry.aligned
    return _FIELD.pack(_ALIGNMENT, 2 + zeros, entry.aligned) + bytes(zeros)
