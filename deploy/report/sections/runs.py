"""Conditions and provenance: which run every figure is of, and what that run depended on."""

from __future__ import annotations

from mobiledeploy.deploy.report.cells import figure, words
from mobiledeploy.deploy.report.layout import Cell, Column, Section, Table
from mobiledeploy.deploy.report.seen import Seen
from mobiledeploy.deploy.report.story import Story

_LEAD = (
    "Every run that a figure above is drawn from, as it was stored. mobiledeploy history show ID --json "
    "prints one with all its samples."
)
_DIGEST = 12
_HEADS = (
    Column("run"),
    Column("kind"),
    Column("time, UTC"),
    Column("file"),
    Column("sha256"),
    Column("device"),
    Column("name of it"),
    Column("SoC"),
    Column("build"),
    Column("engine"),
    Column("threads", number=True),
    Column("cores"),
    Column("pace"),
    Column("clock"),
    Column("images"),
    Column("commit"),
    Column("label"),
    Column("mobiledeploy"),
    Column("beware"),
)


def tell(story: Story) -> Section:
    """A table of all runs; the page has the rest of each below it."""
    rows = tuple(map(_row, story.collected.runs))
    table = Table("runs", "Runs", _HEADS, rows)
    return Section("runs", "Conditions and provenance", _LEAD, tables=(table,))


def _row(run: Seen) -> tuple[Cell, ...]:
    row = run.row
    return (
        Cell(row.id[:8], row.id, row.id),
        words(row.kind),
        Cell(f"{row.time:%Y-%m-%d %H:%M}", row.time.isoformat()),
        words(row.model_name),
        Cell(row.model_sha256[:_DIGEST], row.model_sha256),
        words(row.device or "this host"),
        words(row.device_name),
        words(row.soc),
        words(row.build),
        words(" ".join(filter(None, (row.engine, row.engine_version)))),
        figure(row.threads, "{}"),
        words(row.affinity),
        words(row.mode),
        words(row.clock),
        words(f"{row.images} ({run.images})" if row.images else ""),
        words((row.git_commit or "")[:_DIGEST]),
        words(row.label),
        words(row.harness),
        words("; ".join(run.beware)),
    )
