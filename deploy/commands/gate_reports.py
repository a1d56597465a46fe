"""Where ``gate`` writes its report: files that were asked for, and GitHub's own places."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.outputs import move_into_place, temporary_beside
from mobiledeploy.errors import InputError
from mobiledeploy.writing import writing

if TYPE_CHECKING:
    from mobiledeploy.device_tests.gate import GateReport

WHERE = "--report"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file.

    Attributes:
        kind: one of ``device_tests.gate.formats.FORMATS``.
        file: to write.
    """

    kind: str
    file: Path


def parse_wanted(texts: Iterable[str]) -> tuple[Wanted, ...]:
    """Files from ``KIND=FILE``; done before anything is measured.

    Raises:
        InputError: no such kind (names the nearest), no file, a folder, or one file twice.
    """
    wanted = tuple(map(_parse, texts))
    files = [item.file.absolute() for item in wanted]
    if twice := next((file for file in files if files.count(file) > 1), None):
        raise InputError("the file is named twice", where=f"{WHERE} {twice.name}", hint="Name each once")
    return wanted


def write_reports(report: GateReport, wanted: Sequence[Wanted]) -> None:
    """Each file whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    from mobiledeploy.device_tests.gate.formats import FORMATS

    for item in wanted:
        with temporary_beside(item.file) as partial:
            with writing(item.file):
                partial.write_text(FORMATS[item.kind](report), encoding="utf-8", newline="\n")
            move_into_place(partial, item.file)


def tell_github(report: GateReport) -> None:
    """In a job of GitHub Actions: annotations, and Markdown in the step's summary; elsewhere nothing.

    Annotations go to standard error, where GitHub reads them as well: standard output is for the
    command's result.

    Raises:
        OutputError: the summary cannot be written.
    """
    from mobiledeploy.device_tests.gate.formats.github import append_summary, in_actions, render

    if in_actions(os.environ):
        sys.stderr.write(render(report))
        append_summary(report, os.environ)


def _parse(text: str) -> Wanted:
    from mobiledeploy.device_tests.gate.formats import FORMATS

    kind, _, file = text.partition("=")
    if kind not in FORMATS:
        near = difflib.get_close_matches(kind, FORMATS, 1, 0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Kinds are {', '.join(FORMATS)}"
        raise InputError(f"there is no report {kind!r}", where=WHERE, hint=hint)
    if not file or Path(file).is_dir():
        problem = f"{file} is a folder" if file else f"{text!r} names no file"
        raise InputError(problem, where=WHERE, hint=f"Write it like {kind}=gate.txt")
    return Wanted(kind, Path(file))
