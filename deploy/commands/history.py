"""``mobiledeploy history list | show | plot | export | remove | prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mobiledeploy.deploy.commands.options import HistoryOption
from mobiledeploy.deploy.commands.outcome import JsonOption, Lines, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.history_series import Chart
    from mobiledeploy.device_tests.history import Filter, History

HELP = "Every stored run, gate and diagnosis: list, look into, plot, export, delete."
LIST_EXAMPLE = "mobiledeploy history list --model mobilenet_v2 --since 7d"
SHOW_EXAMPLE = "mobiledeploy history show 3f9a"
PLOT_EXAMPLE = "mobiledeploy history plot --device adb --since 2026-01-01 -o latency.png"
EXPORT_EXAMPLE = "mobiledeploy history export --kind latency -o runs.csv"
REMOVE_EXAMPLE = "mobiledeploy history remove 3f9a 77b0"
PRUNE_EXAMPLE = "mobiledeploy history prune --before 365d --dry-run"

# Rows of a list unless --last says otherwise.
LISTED = 50

DeviceOption = Annotated[
    str, typer.Option("--device", "-d", metavar="TEXT", help="Part of the device's reference or name.")
]
ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", metavar="TEXT", help="Part of the file's name, or its sha256's beginning."),
]
EngineOption = Annotated[str, typer.Option("--engine", metavar="TEXT", help="Part of the engine's name.")]
Kind = Literal["latency", "accuracy", "gate", "diagnosis"]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only these; all by default.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="AGO|DATE", help="30m, 12h, 7d, 2w, or a date like 2026-03-01 (UTC)."),
]
LabelOption = Annotated[str | None, typer.Option("--label", metavar="TEXT", help="The whole label.")]
LastOption = Annotated[
    int | None, typer.Option("--last", "-n", min=1, metavar="N", help="Only the N latest of them.")
]
IncompleteOption = Annotated[
    bool, typer.Option("--incomplete", help="Only runs that did not come to their end.")
]
Identity = Annotated[
    str, typer.Argument(metavar="ID", help="Of the run, or the beginning of it that no other has.")
]


def list_runs(
    device: DeviceOption = "",
    model: ModelOption = "",
    engine: EngineOption = "",
    kind: KindOption = None,
    since: SinceOption = None,
    label: LabelOption = None,
    last: LastOption = LISTED,
    incomplete: IncompleteOption = False,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """List what is stored, the latest last; times are the median's with its 95% interval."""
    from mobiledeploy.deploy.commands.history_tables import listing
    from mobiledeploy.deploy.history_export import plain

    wanted = wanted_runs(device, model, engine, kind, since, label, last, incomplete)
    with open_stored(history) as opened:
        rows, where, total = opened.find(wanted), opened.where, opened.count()
    data = {"history": where, "total": total, "runs": [plain(row) for row in rows]}
    return Outcome(data, lambda: listing(rows, where, total), as_json)


def show(identity: Identity, history: HistoryOption = None, as_json: JsonOption = False) -> Outcome:
    """Show one run, gate or diagnosis with everything that was stored; --json has every single sample."""
    from mobiledeploy.deploy.commands.history_tables import whole
    from mobiledeploy.device_tests.history.documents import read

    with open_stored(history) as opened:
        document, where = opened.document(identity), opened.where
    return Outcome(document, lambda: whole(read(document, f"{where}: run {identity}"), document), as_json)


def plot(
    by: Annotated[
        Literal["time", "commit"], typer.Option("--by", help="What the horizontal axis is.")
    ] = "time",
    kind: Annotated[
        Literal["latency", "accuracy"], typer.Option("--kind", help="What is drawn.")
    ] = "latency",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Draw an .svg or .png file instead."),
    ] = None,
    device: DeviceOption = "",
    model: ModelOption = "",
    engine: EngineOption = "",
    since: SinceOption = None,
    label: LabelOption = None,
    last: LastOption = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Plot median latency with its 95% interval, and p90, or accuracy: a series per file and setting."""
    from dataclasses import asdict

    from mobiledeploy.deploy.history_series import chart

    if output is not None:
        from mobiledeploy.deploy.pictures import check_picture

        check_picture(output)
    with open_stored(history) as opened:
        drawn = chart(opened.find(wanted_runs(device, model, engine, kind, since, label, last)), by, kind)
    if output is not None:
        from mobiledeploy.deploy.history_plot import plot as draw

        draw(drawn, output)
    data = {**asdict(drawn), "file": str(output) if output else None}
    return Outcome(data, lambda: _render_plot(drawn, output), as_json)


def export(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A file; stdout by default.")
    ] = None,
    form: Annotated[
        Literal["csv", "jsonl"] | None,
        typer.Option(
            "--format", help="csv: the columns; jsonl: whole runs. By default as FILE's name ends, else csv."
        ),
    ] = None,
    device: DeviceOption = "",
    model: ModelOption = "",
    engine: EngineOption = "",
    kind: KindOption = None,
    since: SinceOption = None,
    label: LabelOption = None,
    last: LastOption = None,
    incomplete: IncompleteOption = False,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Export runs as CSV or JSON lines."""
    from mobiledeploy.deploy.history_export import choose_form, lines, write

    chosen = choose_form(form, output)
    wanted = wanted_runs(device, model, engine, kind, since, label, last, incomplete)
    opened = open_stored(history)
    data: dict[str, Any] = {"history": opened.where, "format": chosen}
    if output is not None:
        write(lines(opened, wanted, chosen), output)
        return Outcome({**data, "file": str(output)}, lambda: _notes(("written", str(output))), as_json)
    if as_json:
        data["runs"] = list(opened.documents(wanted))
    return Outcome(data, lambda: Lines(lines(opened, wanted, chosen)), as_json)


def remove(
    identities: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Of runs, or beginnings that no other has.")
    ],
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Delete runs: all that are named, or none if one of them is not there."""
    with open_stored(history) as opened:
        removed, where = opened.remove(identities), opened.where
    notes = [("removed", identity) for identity in removed]
    return Outcome({"history": where, "removed": removed}, lambda: _notes(*notes), as_json)


def prune(
    before: Annotated[
        str, typer.Option("--before", metavar="AGO|DATE", help="90d, 52w, or a date like 2026-03-01 (UTC).")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Delete the runs that are older."""
    from mobiledeploy.device_tests.history.moments import parse_moment

    border = parse_moment(before)
    with open_stored(history) as opened:
        count, where = opened.prune(border, dry_run=dry_run), opened.where
    data = {"history": where, "before": border.isoformat(), "count": count, "dry_run": dry_run}
    done = "would be removed" if dry_run else "removed"
    runs = f"{count} run{'' if count == 1 else 's'} from before {border:%Y-%m-%d %H:%M} UTC"
    return Outcome(data, lambda: _notes((done, runs)), as_json)


COMMANDS = (
    ("list", list_runs, LIST_EXAMPLE),
    ("show", show, SHOW_EXAMPLE),
    ("plot", plot, PLOT_EXAMPLE),
    ("export", export, EXPORT_EXAMPLE),
    ("remove", remove, REMOVE_EXAMPLE),
    ("prune", prune, PRUNE_EXAMPLE),
)


def open_stored(wanted: str | None) -> History:
    from mobiledeploy.device_tests.history import open_history

    # A mistyped name is not to become an empty history.
    return open_history(wanted, must_exist=True)


def wanted_runs(
    device: str,
    model: str,
    engine: str,
    kind: Kind | None,
    since: str | None,
    label: str | None,
    last: int | None,
    incomplete: bool = False,
) -> Filter:
    from mobiledeploy.device_tests.history import Filter
    from mobiledeploy.device_tests.history.moments import parse_moment

    return Filter(
        device=device,
        model=model,
        engine=engine,
        kind=kind,
        label=label,
        since=parse_moment(since) if since else None,
        complete=False if incomplete else None,
        last=last,
    )


def _render_plot(drawn: Chart, output: Path | None) -> RenderableType:
    left_out = [("not drawn", reason) for reason in drawn.left_out]
    if output is not None:
        return _notes(("written", str(output)), *left_out)
    from rich.console import Console, Group
    from rich.text import Text

    from mobiledeploy.deploy.commands.tables import pairs
    from mobiledeploy.deploy.terminal_plot import terminal_plot

    picture = Text.from_ansi(terminal_plot(drawn, Console().width), no_wrap=True, overflow="ignore")
    names = [(series.mark, series.label) for series in drawn.series]
    legend = [("A, B...", "median, bar: its 95% interval"), ("a, b...", "p90")]
    if drawn.kind == "accuracy":
        legend = [("A, B...", "the figure of the model's task")]
    return Group(picture, pairs([*names, *legend, *left_out]))


def _notes(*rows: tuple[str, str]) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs

    return pairs(rows)
