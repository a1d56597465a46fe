"""Cells of the kinds that tables have."""

from __future__ import annotations

from collections.abc import Callable

from mobiledeploy.deploy.commands.tables import milliseconds
from mobiledeploy.deploy.report.layout import Cell
from mobiledeploy.device_tests.errors import one_line


def words(text: str | None, run: str = "") -> Cell:
    """A cell of text, which may come from a device or a stranger's file."""
    shown = one_line(text or "")
    return Cell(shown, shown, run)


def figure(value: float | None, form: str = "{:.4g}", run: str = "") -> Cell:
    """A cell of a number; empty without one."""
    return Cell("" if value is None else form.format(value), value, run)


def time_cell(nanoseconds: float | None, run: str = "") -> Cell:
    """A time in milliseconds."""
    text = "" if nanoseconds is None else milliseconds(nanoseconds)
    return Cell(text, None if nanoseconds is None else nanoseconds / 1e6, run)


def range_cell(low: float | None, high: float | None, show: Callable[[float], str] = "{:.2f}".format) -> Cell:
    """Both ends of an interval; empty where one is not known."""
    return words("" if low is None or high is None else f"{show(low)} to {show(high)}")
