"""What a command hands back to be printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

INTERRUPTED = 130
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")
]


@dataclass(frozen=True, slots=True)
class Lines:
    """Text that is data: printed as it is, neither folded to the terminal nor coloured."""

    lines: Iterable[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command.

    Attributes:
        data: what ``--json`` prints.
        text: what is printed otherwise; called only then.
        as_json: which of the two.
        exit_code: 0, or that of a result that is bad news.
    """

    data: dict[str, Any]
    text: Callable[[], RenderableType | Lines]
    as_json: bool
    exit_code: int = 0


def to_json(data: dict[str, Any]) -> str:
    """One line of JSON for people and programs."""
    text = json.dumps(data, default=str, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Halves of characters, as names that are no UTF-8 have them: JSON can write them, UTF-8 cannot.
        return json.dumps(data, default=str, allow_nan=False)
    return text
