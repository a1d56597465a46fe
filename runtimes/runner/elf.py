"""What a shared library or program is made for, read from its ELF headers; any bytes may come."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.platforms import ANDROID, ARM64, ARMV7, GNU, MUSL, X86_64

_ARCH_OF: Mapping[int, str] = MappingProxyType({183: ARM64, 40: ARMV7, 62: X86_64})
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME = 0, 1, 5, 14
# What the NDK puts into libraries, and the loader that it has programs ask for; musl's is another.
_ANDROID_NOTE, _ANDROID_LOADER = b"Android\0", b"/system/bin/linker"
# Bionic has these beside libc.so; in musl they are inside.
_BIONIC = frozenset({"libdl.so", "libm.so", "liblog.so", "libandroid.so"})
MOST_SEGMENTS, MOST_ENTRIES, LONGEST_NAME, LONGEST_NOTES = 256, 4096, 255, 4096


@dataclass(frozen=True, slots=True)
class Elf:
    """An ELF file by its own words.

    Attributes:
        arch: ``arm64``, ``armv7``, ``x86_64``.
        libc: ``gnu``, ``android``, ``musl``; None: it needs no C library that is known.
        soname: name it wants to be loaded by, empty if none.
        needed: libraries it needs.
    """

    arch: str
    libc: str | None
    soname: str
    needed: tuple[str, ...]


def read_elf(path: Path) -> Elf:
    """Read an ELF file's headers.

    Raises:
        InputError: it cannot be read, is no ELF file, is damaged, or is for another kind of processor.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", where=str(path), hint="Check the path"
        ) from error
    except (struct.error, ValueError, OverflowError) as error:
        raise InputError(
            f"is no library for these devices ({error})",
            where=str(path),
            hint="Give an ELF shared library for arm64, armv7 or x86_64",
        ) from error


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def _read(file: BinaryIO) -> Elf:
    start = file.read(64)
    if start[:4] != b"\x7fELF":
        raise ValueError("it is no ELF file")
    if len(start) != 64:
        raise ValueError("it is cut off")
    if start[4] not in (1, 2) or start[5] != 1:
        raise ValueError("neither 32 nor 64 bits, little-endian")
    wide = start[4] == 2
    (machine,) = struct.unpack_from("<H", start, 18)
    if machine not in _ARCH_OF:
        raise ValueError(f"machine {machine}")
    segments = list(_segments(file, start, wide))
    entries = [
        entry
        for segment in segments
        if segment.kind == _PT_DYNAMIC
        for entry in _dynamic(file, segment, wide)
    ]
    table = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    names: dict[int, list[str]] = {_DT_NEEDED: [], _DT_SONAME: []}
    for tag, value in entries:
        if tag in names and table is not None:
            names[tag].append(_name(file, segments, table + value))
    needed = tuple(names[_DT_NEEDED])
    libc = _libc(needed, _is_android(file, segments))
    return Elf(_ARCH_OF[machine], libc, "".join(names[_DT_SONAME][:1]), needed)


def _segments(file: BinaryIO, start: bytes, wide: bool) -> Iterator[_Segment]:
    (offset,) = struct.unpack_from("<Q" if wide else "<I", start, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", start, 54 if wide else 42)
    if size != (56 if wide else 32) or count > MOST_SEGMENTS:
        raise ValueError(f"{count} program headers of {size} bytes")
    headers = _at(file, offset, size * count)
    for index in range(count):
        if wide:
            kind, _, place, address, _, length = struct.unpack_from("<IIQQQQ", headers, index * size)
        else:
            kind, place, address, _, length = struct.unpack_from("<IIIII", headers, index * size)
        yield _Segment(kind, place, address, length)


def _dynamic(file: BinaryIO, segment: _Segment, wide: bool) -> Iterator[tuple[int, int]]:
    form = struct.Struct("<qQ" if wide else "<iI")
    data = _at(file, segment.offset, min(segment.size, MOST_ENTRIES * form.size) // form.size * form.size)
    for tag, value in form.iter_unpack(data):
        if tag == _DT_NULL:
            return
        yield tag, value


def _name(file: BinaryIO, segments: list[_Segment], address: int) -> str:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            file.seek(segment.offset + address - segment.address)
            raw, end, _ = file.read(LONGEST_NAME + 1).partition(b"\0")
            if end:
                return raw.decode("ascii", "backslashreplace")
    raise ValueError("a library's name is missing")


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it is cut off")
    return data


def _is_android(file: BinaryIO, segments: list[_Segment]) -> bool:
    for segment in segments:
        if segment.kind in (_PT_NOTE, _PT_INTERP):
            file.seek(segment.offset)
            found = file.read(min(segment.size, LONGEST_NOTES))
            if _ANDROID_NOTE in found or found.startswith(_ANDROID_LOADER):
                return True
    return False


def _libc(needed: tuple[str, ...], android: bool) -> str | None:
    if "libc.so.6" in needed:
        return GNU
    if any(name.startswith("libc.musl-") for name in needed):
        return MUSL
    if "libc.so" in needed:
        return ANDROID if android or _BIONIC & set(needed) else MUSL
    return None
