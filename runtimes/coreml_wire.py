"""Protocol Buffers wire format, reading only.

Core ML files are protocol buffers.  Reading the few messages we need straight from the bytes takes
milliseconds and no package, where importing coremltools takes seconds and torch with it.
Source: the public Protocol Buffers encoding guide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = int | memoryview


class Message:
    """The fields of one message by number, values as they lie in the file.

    Args:
        data: the message's bytes.

    Raises:
        ValueError: the bytes are no message.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._fields: dict[int, list[Field]] = {}
        for number, value in _fields(memoryview(data)):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def numbers(self) -> tuple[int, ...]:
        """Numbers of the fields that are set, in file order."""
        return tuple(self._fields)

    def message(self, number: int) -> Message:
        """The message in field ``number``, an empty one if it is not set."""
        return Message(self.raw(number))

    def messages(self, number: int) -> list[Message]:
        """All messages of a repeated field."""
        return [Message(_as_bytes(value)) for value in self._fields.get(number, [])]

    def raw(self, number: int) -> memoryview:
        """The bytes in field ``number``, none if it is not set."""
        values = self._fields.get(number)
        return _as_bytes(values[-1]) if values else memoryview(b"")

    def text(self, number: int) -> str:
        """The string in field ``number``, empty if it is not set."""
        return str(self.raw(number), "utf-8")

    def texts(self, number: int) -> tuple[str, ...]:
        """All strings of a repeated field."""
        return tuple(str(_as_bytes(value), "utf-8") for value in self._fields.get(number, []))

    def number(self, number: int) -> int:
        """The signed integer in field ``number``, 0 if it is not set."""
        values = self._fields.get(number)
        if not values:
            return 0
        if not isinstance(values[-1], int):
            raise ValueError(f"field {number} is no integer")
        return _signed(values[-1])

    def numbers_in(self, number: int) -> list[int]:
        """All signed integers of a repeated field, packed or not."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            found.extend([value] if isinstance(value, int) else _varints(value))
        return [_signed(value) for value in found]

    def array(self, number: int, dtype: str) -> np.ndarray:
        """All values of a repeated field of fixed-size numbers, packed or not."""
        import numpy as np

        parts = [
            value if isinstance(value, memoryview) else value.to_bytes(np.dtype(dtype).itemsize, "little")
            for value in self._fields.get(number, [])
        ]
        return np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), dtype)

    def map(self, number: int) -> dict[str, Message]:
        """A map field with string keys and message values."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}


def _fields(data: memoryview) -> Iterator[tuple[int, Field]]:
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("field number 0")
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field ends behind its message")
        piece = data[at : at + size]
        at += size
        if kind == _BYTES:
            yield number, piece
        else:
            yield number, struct.unpack("<I" if size == 4 else "<Q", piece)[0]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number does not end")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _signed(value: int) -> int:
    """Negative numbers are stored as 64-bit two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _as_bytes(value: Field) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value
