"""Bounded reading of FlatBuffers, for files that may be damaged or hostile.

Only Python is needed, so that a TFLite file can be read on any host or board.  The layout is that of
the FlatBuffers internals page: a table starts with the distance back to its vtable, the vtable gives
the offset of every field, vectors and strings start with their length; all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class FlatbufferError(Exception):
    """The bytes are no sound FlatBuffer; the text says what is wrong with them."""


class Buffer:
    """The bytes of one FlatBuffer.

    Attributes:
        data: all bytes.

    A sound file is a tree and is read about once.  In a hostile one many tables may share one long
    vector; the allowance, a few times the file's size, ends such a read in time proportional to it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._allowance = 4 * len(data) + (1 << 18)

    def root(self, identifier: bytes) -> Table:
        """The root table of a buffer with this four-byte identifier."""
        if self.data[4:8] != identifier:
            raise FlatbufferError(f"the identifier {identifier.decode()} is missing")
        return Table(self, self.follow(0))

    def number(self, layout: str, position: int) -> int | float:
        """One scalar, by its ``struct`` format."""
        self._within(position, struct.calcsize(layout))
        value: int | float = struct.unpack_from(layout, self.data, position)[0]
        return value

    def follow(self, position: int) -> int:
        """Where the offset stored at a position points to."""
        return position + int(self.number("<I", position))

    def vector(self, position: int, item_size: int) -> tuple[int, int]:
        """First byte and number of items of the vector at a position."""
        count = int(self.number("<I", position))
        self._within(position + 4, count * item_size)
        return position + 4, count

    def spend(self, size: int) -> None:
        """Account for bytes that are about to be read one by one."""
        self._allowance -= size
        if self._allowance < 0:
            raise FlatbufferError("its parts overlap without end")

    def _within(self, start: int, size: int) -> None:
        if start < 0 or start + size > len(self.data):
            raise FlatbufferError(f"an offset points outside the file (byte {start} of {len(self.data)})")


class Table:
    """One table; ``slot`` is a field's id in the schema, absent fields give the schema's default."""

    def __init__(self, buffer: Buffer, position: int) -> None:
        self._buffer, self._position = buffer, position
        self._vtable = position - int(buffer.number("<i", position))
        self._vtable_size = int(buffer.number("<H", self._vtable))

    def _field(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        offset = int(self._buffer.number("<H", self._vtable + entry))
        return self._position + offset if offset else None

    def integer(self, slot: int, layout: str = "<i", default: int = 0) -> int:
        """An integer field; ``layout`` is its ``struct`` format."""
        field = self._field(slot)
        return default if field is None else int(self._buffer.number(layout, field))

    def table(self, slot: int) -> Table | None:
        """A table (or the value of a union)."""
        field = self._field(slot)
        return None if field is None else Table(self._buffer, self._buffer.follow(field))

    def tables(self, slot: int) -> Iterator[Table]:
        """A vector of tables, in order."""
        start, count = self._vector(slot, 4)
        for position in range(start, start + 4 * count, 4):
            self._buffer.spend(8)
            yield Table(self._buffer, self._buffer.follow(position))

    def numbers(self, slot: int, layout: str) -> tuple[int | float, ...]:
        """A vector of scalars; ``layout`` is the ``struct`` letter of one."""
        size = struct.calcsize(f"<{layout}")
        start, count = self._vector(slot, size)
        self._buffer.spend(size * count)
        return struct.unpack_from(f"<{count}{layout}", self._buffer.data, start)

    def integers(self, slot: int, layout: str = "i") -> tuple[int, ...]:
        """A vector of integers."""
        return tuple(int(value) for value in self.numbers(slot, layout))

    def text(self, slot: int) -> str:
        """A string, empty if absent; bytes that are no UTF-8 are replaced."""
        start, count = self._vector(slot, 1)
        self._buffer.spend(count)
        return self._buffer.data[start : start + count].decode(errors="replace")

    def blob(self, slot: int) -> memoryview:
        """A vector of bytes, not copied."""
        start, count = self._vector(slot, 1)
        return memoryview(self._buffer.data)[start : start + count]

    def _vector(self, slot: int, item_size: int) -> tuple[int, int]:
        field = self._field(slot)
        return (0, 0) if field is None else self._buffer.vector(self._buffer.follow(field), item_size)
