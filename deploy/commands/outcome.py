"""What a command hands back to be printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")
]


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
    text: Callable[[], RenderableType]
    as_json: bool
    exit_code: int = 0
