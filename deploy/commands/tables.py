"""Plain two-column and many-column tables, and units for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def pairs(rows: Iterable[tuple[str, str]], title: str | None = None) -> Table:
    """Names on the left, values on the right; rows without a value are left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.title, grid.title_justify = title, "left"
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(Text(name), Text(value))
    return grid


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table with heads and no lines; the first column is kept whole."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for index, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def size(count: int) -> str:
    """Bytes in MB (10^6) or kB."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def millions(count: int) -> str:
    """A count in millions."""
    return f"{count / 1e6:.2f} M"


def shape(dimensions: Sequence[int]) -> str:
    """``1x224x224x3``; ``?`` where the file leaves a dimension open."""
    return "x".join("?" if item < 0 else str(item) for item in dimensions) or "scalar"


def milliseconds(nanoseconds: float) -> str:
    """Four digits that mean something: ``12.35``, ``0.1235``, ``1235``."""
    value = nanoseconds / 1e6
    if value >= 1000:
        return f"{value:.0f}"
    # Rounding may give a fifth digit, and a point after it.
    return f"{value:#.4g}".rstrip(".") if value >= 1e-3 else f"{value:.6f}"
