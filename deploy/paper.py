"""The MobileNets paper's tables of resources, ours beside the printed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from mobiledeploy.deploy.costing import cost_of
from mobiledeploy.deploy.paper_print import (
    LAST_STRIDE,
    LAYER_STEPS,
    LAYERS,
    PUBLISHED_TOP1,
    RESOLUTIONS,
    SHARES,
    TABLES,
    Build,
    PrintedTable,
)
from mobiledeploy.errors import InputError
from mobiledeploy.layer_cost import MATRIX_PRODUCT, Cost
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    from torch import nn

NUMBERS = range(1, 15)
_M = 1e6


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure.

    Attributes:
        printed: as the paper has it.
        ours: in the same unit; None for what is no model of ours.
    """

    printed: str
    ours: float | None

    @property
    def difference(self) -> float | None:
        """Ours less the printed one, as a share of the printed one."""
        return None if self.ours is None else self.ours / float(self.printed) - 1

    def agrees(self, share: float = 0.01) -> bool:
        """Whether ours lies within a share of the printed figure, or rounds to it."""
        if self.ours is None:
            return False
        digits = len(self.printed.partition(".")[2])
        printed = float(self.printed)
        return abs(self.ours - printed) <= max(share * printed, 0.5 * math.pow(10, -digits))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``cells`` are mult-adds and parameters (of Table 2: their shares)."""

    name: str
    accuracy: str
    cells: tuple[Cell, Cell]
    note: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        number: of the paper.
        title: what it shows.
        metric: of the printed accuracies, empty where there are none.
        heads: of the two figures, with their units.
        rows: in the order of the print.
    """

    number: int
    title: str
    metric: str
    heads: tuple[str, str]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A model in Figures 4 and 5.

    Attributes:
        width, resolution: multiplier, and pixels.
        mult_adds, parameters: counted.
        top1: published for the released checkpoint, percent.
    """

    width: float
    resolution: int
    mult_adds: int
    parameters: int
    top1: float


def paper_tables(numbers: Iterable[int] = NUMBERS) -> tuple[Table, ...]:
    """Count what the tables need.

    Raises:
        InputError: a table that the paper does not have.
        EnvironmentProblem: torch is not on this machine.
    """
    wanted = tuple(numbers)
    for number in wanted:
        if number not in NUMBERS:
            raise InputError(f"the paper has no Table {number}", hint="Give a number from 1 to 14")
    special: dict[int, Callable[[], Table]] = {1: _architecture, 2: _shares, 3: _one_layer}
    return tuple(
        special[number]() if number in special else _models(number, TABLES[number]) for number in wanted
    )


def grid() -> tuple[Point, ...]:
    """The 16 models of Figures 4 and 5."""
    points = []
    for width, accuracies in PUBLISHED_TOP1.items():
        for resolution, top1 in zip(RESOLUTIONS, accuracies, strict=True):
            found = _cost(Build("mobilenet_v1", width, resolution))
            points.append(Point(width, resolution, found.mult_adds, found.parameters, top1))
    return tuple(points)


@cache
def _cost(build: Build) -> Cost:
    return cost_of(build.reference, width=build.width, resolution=build.resolution)


def _models(number: int, printed: PrintedTable) -> Table:
    rows = []
    for row in printed.rows:
        found = _cost(row.build) if row.build else None
        cells = (
            Cell(row.mult_adds, _of_layers(found) / printed.unit if found else None),
            Cell(row.parameters, found.parameters / _M if found else None),
        )
        rows.append(Row(row.name, row.accuracy, cells, row.note))
    unit = "M" if printed.unit == _M else "B"
    heads = f"{unit} mult-adds", "M parameters"
    return Table(number, printed.title, printed.metric, heads, tuple(rows))


def _of_layers(found: Cost) -> int:
    """Mult-adds without products of two results, which interpolate crops: the paper counts layers."""
    return found.mult_adds - sum(kind.mult_adds for kind in found.kinds if kind.kind == MATRIX_PRODUCT)


def _architecture() -> Table:
    """The printed filters and inputs say what each layer costs."""
    rows = []
    for layer, (name, stride, filter_, input_) in zip(
        _cost(Build("mobilenet_v1")).layers, LAYERS, strict=True
    ):
        weights, (side, *_) = prod(_sides(filter_)), _sides(input_)
        cells = (
            Cell(str(weights * (side // stride) ** 2), layer.mult_adds),
            Cell(str(weights), layer.weights),
        )
        note = LAST_STRIDE[2] if (name, filter_) == LAST_STRIDE[:2] else ""
        rows.append(Row(f"{name}, {filter_}, {input_}", "", cells, note))
    return Table(1, "Body architecture: filter, input", "", ("mult-adds", "weights"), tuple(rows))


def _sides(text: str) -> list[int]:
    return [int(side) for side in text.split("x")]


def _shares() -> Table:
    """Of weights alone: the paper leaves biases and batch norms out."""
    found = _cost(Build("mobilenet_v1"))
    kinds = {kind.kind: kind for kind in found.kinds}
    rows = [
        Row(
            name,
            "",
            (
                Cell(mult_adds, 100 * kinds[name].mult_adds / found.mult_adds),
                Cell(weights, 100 * kinds[name].weights / found.weights),
            ),
            note,
        )
        for name, (mult_adds, weights, note) in SHARES.items()
    ]
    return Table(2, "Resources per layer type", "", ("% of mult-adds", "% of parameters"), tuple(rows))


def _one_layer() -> Table:
    """A layer of 512 channels in and out on 14 x 14."""
    with needs("torch"):
        from mobiledeploy.models.mobilenet_v1 import conv_block, separable
    layers = (
        ([conv_block(512, 512, kernel=3)], 512, 14),
        (separable(512, 512, 1, padding="same"), 512, 14),
        (separable(384, 384, 1, padding="same"), 384, 14),
        (separable(384, 384, 1, padding="same"), 384, 10),
    )
    rows = []
    for (name, printed), (blocks, channels, side) in zip(LAYER_STEPS.items(), layers, strict=True):
        found = _count(blocks, (1, channels, side, side))
        cells = Cell(printed[0], found.mult_adds / _M), Cell(printed[1], found.weights / _M)
        rows.append(Row(name, "", cells, ""))
    return Table(3, "One layer, step by step", "", ("M mult-adds", "M parameters"), tuple(rows))


def _count(blocks: list[nn.Sequential], shape: tuple[int, ...]) -> Cost:
    import torch

    from mobiledeploy.converters.export import export
    from mobiledeploy.models.cost import program_cost

    module = torch.nn.Sequential(*blocks).eval()
    return program_cost(export(SourceModel(module, (torch.zeros(shape),))))
