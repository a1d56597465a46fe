"""``mobiledeploy report``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobiledeploy.deploy.commands.history import (
    DeviceOption,
    EngineOption,
    KindOption,
    LabelOption,
    ModelOption,
    SinceOption,
    open_stored,
    wanted_runs,
)
from mobiledeploy.deploy.commands.options import HistoryOption
from mobiledeploy.deploy.commands.outcome import JsonOption, Lines, Outcome
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from mobiledeploy.deploy.report.layout import Report

EXAMPLE = "mobiledeploy report --label nightly -o report.html"
# Runs of a report unless --last says otherwise.
LATEST = 200
Form = Literal["html", "md"]
_SUFFIXES: dict[str, Form] = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}


def report(
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Only these runs, or beginnings that no other has."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="An .html page, or .md."),
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="By default as FILE's name ends.")] = None,
    device: DeviceOption = "",
    model: ModelOption = "",
    engine: EngineOption = "",
    kind: KindOption = None,
    since: SinceOption = None,
    label: LabelOption = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=1, metavar="N", help="Only the N latest of them.")
    ] = LATEST,
    history: HistoryOption = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="A model file of the runs: its mult-adds; repeatable."),
    ] = None,
    diagnoses: Annotated[
        list[Path] | None,
        typer.Option("--diagnosis", metavar="JSON", help="What diagnose --json printed; repeatable."),
    ] = None,
    gates: Annotated[
        list[Path] | None,
        typer.Option("--gate", metavar="JSON", help="What gate --json printed; repeatable."),
    ] = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Its first line.")] = "Model report",
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Each plot as a picture, too.")
    ] = None,
    picture_format: Annotated[
        Literal["svg", "png"], typer.Option("--picture-format", help="Of --pictures.")
    ] = "svg",
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the live history to this machine's browsers, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="Of --serve; 0: a free one.")
    ] = 0,
    as_json: JsonOption = False,
) -> Outcome:
    """Put stored runs together on one page, or in Markdown for a pull request."""
    from mobiledeploy.deploy.report.build import build
    from mobiledeploy.deploy.report.collect import collect
    from mobiledeploy.deploy.report.given import read_given

    chosen = _choose(form, output, serve=serve, pictures=pictures, as_json=as_json)
    given = read_given(files or (), diagnoses or (), gates or ())

    def make() -> Report:
        wanted = wanted_runs(device, model, engine, kind, since, label, last)
        with open_stored(history) as opened:
            return build(collect(opened, wanted, identities or ()), given, title)

    if serve:
        return _serve(make, port, as_json)
    made = make()
    drawn = _draw(made, pictures, picture_format)
    data = {
        **made.to_dict(),
        "file": str(output) if output else None,
        "pictures": list(map(str, drawn.values())),
    }
    if chosen is None:
        return Outcome(data, lambda: _notes(made, None, drawn), as_json)
    text = _render(made, chosen, drawn, output)
    if output is None:
        return Outcome(data, lambda: Lines([text]), as_json)
    _write(text, output)
    return Outcome(data, lambda: _notes(made, output, drawn), as_json)


def _choose(
    form: Form | None, output: Path | None, *, serve: bool, pictures: Path | None, as_json: bool
) -> Form | None:
    """What to write; None: no text.

    Raises:
        InputError: the name of the file does not say, nothing was asked for, or what does not go together.
    """
    if serve:
        if output or form or pictures:
            raise InputError(
                "--serve shows a page and writes none",
                where="--serve",
                hint="Leave out -o, --format and --pictures",
            )
        return None
    if output is not None:
        found = form or _SUFFIXES.get(output.suffix.lower())
        if found is None:
            raise InputError(
                "the name does not say which form to write",
                where=str(output),
                hint="End it in .html or .md, or give --format",
            )
        return found
    if form == "md" or (form is None and (pictures or as_json)):
        return form
    raise InputError(
        "nothing says where the report goes",
        where="report",
        hint="Give -o report.html, --format md or --serve",
    )


def _draw(made: Report, folder: Path | None, kind: Literal["svg", "png"]) -> dict[str, Path]:
    if folder is None:
        return {}
    from mobiledeploy.deploy.report.pictures import write_pictures

    return write_pictures(made, folder, kind)


def _render(made: Report, form: Form, drawn: dict[str, Path], output: Path | None) -> str:
    if form == "html":
        from mobiledeploy.deploy.report.page import page

        return page(made)
    from mobiledeploy.deploy.report.markdown import markdown

    home = output.parent if output else Path()
    links = {name: Path(os.path.relpath(path, home)).as_posix() for name, path in drawn.items()}
    return markdown(made, links)


def _write(text: str, path: Path) -> None:
    from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
    from mobiledeploy.writing import writing

    with temporary_beside(path) as partial:
        with writing(path):
            partial.write_text(text, encoding="utf-8", newline="\n")
        move_into_place(partial, path)


def _serve(make: Callable[[], Report], port: int, as_json: bool) -> Outcome:
    from mobiledeploy.deploy.report.page import page
    from mobiledeploy.deploy.report.serve import LOOPBACK, serving

    # What is wrong from the beginning is said here, and not in a browser.
    page(make())
    with serving(lambda: page(make()), port) as server:
        address = f"http://{LOOPBACK}:{server.server_address[1]}/"
        sys.stderr.write(f"report: {address} (Ctrl-C ends it)\n")
        sys.stderr.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stderr.write("\n")
    return Outcome({"served": address}, lambda: Lines([]), as_json)


def _notes(made: Report, output: Path | None, drawn: dict[str, Path]) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs, size

    facts = dict(made.facts)
    bad = sum(verdict.tone == "bad" for verdict in made.verdicts)
    return pairs(
        [
            ("written", f"{output} ({size(output.stat().st_size)})" if output else ""),
            ("pictures", f"{len(drawn)} in {next(iter(drawn.values())).parent}" if drawn else ""),
            ("runs", facts["runs"]),
            ("verdicts", f"{len(made.verdicts)}, {bad} of them bad"),
        ]
    )
