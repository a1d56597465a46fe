"""What every form of a report shows: sections of tables and plots, plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 1
Tone = Literal["good", "bad", "open", "plain"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: for people, one line.
        value: what it is sorted by and what CSV and JSON hold; None: there is none.
        run: id of the run that it comes from; empty: none, or several.
    """

    text: str
    value: float | str | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head, with the unit where there is one; whether it holds numbers."""

    head: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads.

    Attributes:
        name: of its files and its place in the page: small letters and hyphens.
        title: above it.
        columns, rows: as many cells in each row as columns.
        brief: short enough for a comment under a change.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture.

    Attributes:
        name: of its files and its place in the page: small letters, digits and hyphens.
        title: above it, with the unit.
        note: how to read it.
        spec: Vega-Lite, without a width.
    """

    name: str
    title: str
    note: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report.

    Attributes:
        name: of its place in the page: small letters and hyphens.
        title: above it.
        lead: what it says, one or two sentences.
        plots, tables: what it shows.
        notes: what was left out and why, or what to do to see more.
    """

    name: str
    title: str
    lead: str
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding.

    Attributes:
        tone: how it is to be taken.
        word: of it: pass, fail, slower...
        subject: what it is about.
        text: the evidence.
        run: id of a run that it stands on; empty: none, or several.
    """

    tone: Tone
    word: str
    subject: str
    text: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything that one run depended on: its id, a line for people, names and values."""

    run: str
    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        title: one line.
        facts: what it is of: names and values.
        verdicts: the bad ones first.
        sections: in order.
        provenance: of every run that is shown.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdict, ...]
    sections: tuple[Section, ...]
    provenance: tuple[Provenance, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: figures of the tables and provenance, without the plots."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "facts": dict(self.facts),
            "verdicts": [
                {
                    "tone": item.tone,
                    "word": item.word,
                    "subject": item.subject,
                    "text": item.text,
                    "run": item.run or None,
                }
                for item in self.verdicts
            ],
            "tables": {
                table.name: {
                    "title": table.title,
                    "columns": [column.head for column in table.columns],
                    "rows": [[cell.value for cell in row] for row in table.rows],
                }
                for section in self.sections
                for table in section.tables
            },
            "runs": {item.run: [list(pair) for pair in item.facts] for item in self.provenance},
        }
