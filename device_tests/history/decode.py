"""Plain data from JSON back to frozen dataclasses, by their type hints and strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]
_SHOWN = 40


class NotDecodable(ValueError):  # noqa: N818
    """The data is of another shape than the type.

    Attributes:
        place: where in the data, like ``launches[0].samples_ns``.
        problem: what is wrong there.
    """

    def __init__(self, problem: str, place: str = "") -> None:
        self.problem, self.place = problem, place
        super().__init__(f"{place}: {problem}" if place else problem)

    def within(self, place: str) -> NotDecodable:
        """The same, seen from one level further out."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return NotDecodable(self.problem, f"{place}{joint}{self.place}")


def decode(kind: type[_T], data: object) -> _T:
    """An object of a dataclass from what ``dataclasses.asdict`` and JSON made of it.

    A list becomes the tuple that the hint asks for, a whole number a float where one is hinted.  A
    field may be missing only if it has a default; keys that are no field are refused.

    Args:
        kind: a dataclass of str, int, float, bool, ``Literal`` strings, dataclasses, tuples of one
            type, unions of those, and dicts, whose values are taken as they are.
        data: from ``json.loads``.

    Raises:
        NotDecodable: the data does not fit; says where.
    """
    return cast(_T, _reader(kind, {})(data))


def _reader(hint: Any, known: dict[Any, _Reader]) -> _Reader:
    """What reads one type; made once per type, as there may be 100,000 values of it."""
    if hint not in known:
        known[hint] = _make(hint, known)
    return known[hint]


def _make(hint: Any, known: dict[Any, _Reader]) -> _Reader:
    origin, options = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _of_dataclass(hint, known)
    if origin is tuple and options[1:] == (...,):
        return _of_tuple(options[0], known)
    if origin in (Union, UnionType):
        return _of_union(options, known)
    if origin is Literal:
        return _of_values(options)
    if origin is dict:
        return _of_exactly(dict)
    if hint is float:
        return _read_float
    if hint in (str, int, bool, NoneType):
        return _of_exactly(hint)
    raise TypeError(f"no reader for {hint}")


def _of_dataclass(kind: type, known: dict[Any, _Reader]) -> _Reader:
    hints = get_type_hints(kind)
    readers = {item.name: _reader(hints[item.name], known) for item in fields(kind)}
    needed = {
        item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING
    }

    def read(data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise NotDecodable(f"{_shown(data)} is no object")
        if missing := needed - data.keys():
            raise NotDecodable(f"{min(missing)} is missing")
        if odd := data.keys() - readers.keys():
            raise NotDecodable(f"{_shown(min(odd))} is not known")
        values = {}
        for name, value in data.items():
            try:
                values[name] = readers[name](value)
            except NotDecodable as problem:
                raise problem.within(name) from None
        return kind(**values)

    return read


def _of_tuple(hint: Any, known: dict[Any, _Reader]) -> _Reader:
    reader = _reader(hint, known)

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            raise NotDecodable(f"{_shown(data)} is no list")
        values = []
        for index, value in enumerate(data):
            try:
                values.append(reader(value))
            except NotDecodable as problem:
                raise problem.within(f"[{index}]") from None
        return tuple(values)

    return read


def _of_union(options: tuple[Any, ...], known: dict[Any, _Reader]) -> _Reader:
    readers = [_reader(option, known) for option in options if option is not NoneType]
    optional = NoneType in options

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        problem = NotDecodable(f"{_shown(data)} fits nothing")
        for reader in readers:
            try:
                return reader(data)
            except NotDecodable as found:
                problem = found
        raise problem

    return read


def _of_values(values: tuple[Any, ...]) -> _Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, str) or data not in values:
            raise NotDecodable(f"{_shown(data)} is none of {', '.join(map(str, values))}")
        return data

    return read


def _of_exactly(kind: type) -> _Reader:
    def read(data: Any) -> Any:
        # Exactly: True is an int to isinstance.
        if type(data) is not kind:
            raise NotDecodable(f"{_shown(data)} is no {kind.__name__}")
        return data

    return read


def _read_float(data: Any) -> float:
    if type(data) not in (int, float):
        raise NotDecodable(f"{_shown(data)} is no number")
    try:
        return float(data)
    except OverflowError:
        raise NotDecodable("a number is too large") from None


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
