"""``mobiledeploy models paper``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.options import HistoryOption
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.paper import Cell, Table

EXAMPLE = "mobiledeploy models paper --only 6 --only 7 --plot figures.svg"


def paper(
    only: Annotated[
        list[int] | None,
        typer.Option("--only", metavar="N", help="Table N alone; several times for several."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw Figures 4 and 5 to an .svg or .png.")
    ] = None,
    measured: Annotated[
        list[Path] | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="A file whose accuracy is in the history, for the figures; several times for several.",
        ),
    ] = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Count the models of the MobileNets paper, beside what it prints (arXiv 1704.04861, Tables 1 to 14)."""
    from mobiledeploy.deploy.paper import NUMBERS, grid, paper_tables
    from mobiledeploy.deploy.paper_plot import find_measured, plot_figures
    from mobiledeploy.deploy.pictures import check_picture

    if measured and plot is None:
        raise typer.BadParameter("--measured goes with --plot.")
    if plot is not None:
        check_picture(plot)
    points = find_measured(measured or (), history)
    tables = paper_tables(only or NUMBERS)
    if plot is not None:
        plot_figures(grid(), points, plot)
    data = {
        "tables": [_to_data(table) for table in tables],
        "measured": [asdict(point) for point in points],
        "plot": str(plot) if plot else None,
    }
    return Outcome(data, lambda: _render(tables, plot), as_json)


def _to_data(table: Table) -> dict[str, Any]:
    rows = [
        {
            "row": row.name,
            "accuracy": row.accuracy or None,
            "figures": [
                {"what": head, "printed": cell.printed, "ours": cell.ours, "difference": cell.difference}
                for head, cell in zip(table.heads, row.cells, strict=True)
            ],
            "note": row.note,
        }
        for row in table.rows
    ]
    return {"table": table.number, "title": table.title, "metric": table.metric or None, "rows": rows}


def _render(tables: tuple[Table, ...], plot: Path | None) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from mobiledeploy.deploy.commands.tables import columns, pairs

    parts: list[RenderableType] = []
    for table in tables:
        parts.append(Text(f"Table {table.number}. {table.title}", style="bold"))
        metric = (f"{table.metric} (printed)",) if table.metric else ()
        heads = (
            "",
            *metric,
            *(text for head in table.heads for text in (head, "ours", "difference")),
            "note",
        )
        rows = [
            (
                row.name,
                *((row.accuracy,) if table.metric else ()),
                *(text for cell in row.cells for text in _texts(cell)),
                row.note,
            )
            for row in table.rows
        ]
        parts += [columns(heads, rows), Text()]
    if plot:
        parts.append(pairs([("written", str(plot))]))
    return Group(*parts)


def _texts(cell: Cell) -> tuple[str, str, str]:
    """The printed figure, ours to one digit more, and how far apart they are."""
    if cell.ours is None or cell.difference is None:
        return cell.printed, "", ""
    digits = len(cell.printed.partition(".")[2]) + 1
    # Counts of units have no fraction.
    ours = f"{cell.ours:.{digits}f}" if isinstance(cell.ours, float) else str(cell.ours)
    return cell.printed, ours, f"{100 * cell.difference:+.1f}%"
