"""The variants of a sweep, and which weights belong to each."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mobiledeploy.contract import Precision, Target
from mobiledeploy.deploy.wanted import file_stem
from mobiledeploy.errors import InputError

RANDOM = "random"
FIELDS = ("width", "resolution")


@dataclass(frozen=True, slots=True)
class Variant:
    """One file of a sweep.

    Attributes:
        model: a reference as for ``convert``.
        width: multiplier of the channels; None: the model has none, or its own is meant.
        resolution: of the input, pixels; None: the model's own.
        precision, target: as for ``convert``.
        weights: a file, or ``random``.
    """

    model: str
    width: float | None
    resolution: int | None
    precision: Precision
    target: Target
    weights: str

    @property
    def name(self) -> str:
        """Stem of the file: ``mobilenet_v1_0.25_128_int8``."""
        return f"{file_stem(self.model, width=self.width, resolution=self.resolution)}_{self.precision}"

    @property
    def label(self) -> str:
        """What tells it from the others of a sweep: ``0.25 128 int8 tflite``."""
        chosen = [f"{value:g}" for value in (self.width, self.resolution) if value is not None]
        return " ".join([*chosen, self.precision, self.target])


@dataclass(frozen=True, slots=True)
class Grid:
    """All combinations of these.

    Attributes:
        model, precisions, targets: see ``Variant``.
        widths, resolutions: each may be empty: the model's own.
        weights: ``random``, or the path of a state dict with ``{width}`` and ``{resolution}`` in it
            where these are swept, like ``weights/v1_{width}_{resolution}.pth``.
    """

    model: str
    widths: tuple[float, ...] = ()
    resolutions: tuple[int, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    targets: tuple[Target, ...] = ("tflite",)
    weights: str = RANDOM

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Smallest first.

        Raises:
            InputError: a file of weights is missing, or the same for two networks.
        """
        widths: list[float | None] = [*sorted(self.widths)] or [None]
        resolutions: list[int | None] = [*sorted(self.resolutions)] or [None]
        networks = list(product(widths, resolutions))
        files = [self._weights(width, resolution) for width, resolution in networks]
        return tuple(
            Variant(self.model, width, resolution, precision, target, weights)
            for (width, resolution), weights in zip(networks, files, strict=True)
            for precision in self.precisions
            for target in self.targets
        )

    def _weights(self, width: float | None, resolution: int | None) -> str:
        if self.weights == RANDOM:
            return RANDOM
        named = _fields(self.weights)
        # Resolutions may share weights: a network does not change with its input's size.
        if "width" not in named and len(self.widths) > 1:
            raise InputError(
                "one file of weights for several widths",
                where=self.weights,
                hint="Put {width} where their names differ, or take --weights random",
            )
        values = {"width": width, "resolution": resolution}
        lacking = [name for name in named if values[name] is None]
        if lacking:
            raise InputError(
                f"{{{lacking[0]}}} in the name of the weights, and nothing to put there",
                where=self.weights,
                hint=f"Give --{lacking[0]}",
            )
        # Published names write the width as 1.0 as often as 1.
        tried = dict.fromkeys(
            self.weights.format(width=shown, resolution=resolution)
            for shown in ((width,) if width is None else (f"{width:g}", f"{width}", f"{width:.2f}"))
        )
        found = next((name for name in tried if Path(name).is_file()), None)
        if found is None:
            raise InputError(
                "there are no such weights", where=next(iter(tried)), hint="Check the pattern and the grid"
            )
        return found


def _fields(pattern: str) -> list[str]:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise InputError(
            f"this is no pattern ({error})", where=pattern, hint="Write a brace that is meant as {{ or }}"
        ) from error
    for name in named:
        if name not in FIELDS:
            raise InputError(
                f"there is no {{{name}}}", where=pattern, hint="A pattern has {width} and {resolution}"
            )
    return named


def mobilenets(weights: str = RANDOM, targets: Sequence[Target] = ("tflite",)) -> Grid:
    """The 16 MobileNets (arXiv 1704.04861, section 3.4), in fp32 and int8."""
    return Grid(
        "mobilenet_v1",
        widths=(0.25, 0.5, 0.75, 1.0),
        resolutions=(128, 160, 192, 224),
        precisions=("fp32", "int8"),
        targets=tuple(targets),
        weights=weights,
    )
