"""Variants become files: each is an order that any host can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.sweep.computing import compute
from mobiledeploy.deploy.sweep.grid import RANDOM, Variant
from mobiledeploy.deploy.sweep.orders import Convert, Count
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.device_tests.lab.order import Order
from mobiledeploy.device_tests.lab.parcel import Parcel, pack
from mobiledeploy.models import MODEL_FILES
from mobiledeploy.models.references import is_own_code


@dataclass(frozen=True, slots=True)
class Built:
    """A variant's file.

    Attributes:
        variant: what it is of.
        path: of the file.
        mult_adds, parameters: of its network, counted from the exported graph.
    """

    variant: Variant
    path: Path
    mult_adds: int
    parameters: int


def build(
    variants: Sequence[Variant],
    folder: Path,
    calibration: Path | str | None,
    scheduler: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Iterator[Built]:
    """Convert variants; the files come in the order of the variants.

    Quantizing what was not trained leaves out what only accuracy needs: time does not depend on it.

    Args:
        variants: none twice.
        folder: of the files, there.
        calibration: images, or ``none``; None: noise, for untrained weights alone.
        scheduler: of a lab, whose cores convert; None: those of this host.  A model of the user's own is
            converted here: other hosts lack its code or file.
        announce: told where they are converted.

    Raises:
        MobileDeployError: see ``convert``; of the first variant that fails.
        LabUnavailableError: no lab's scheduler answers, or it has gone.
    """
    if any(is_own_code(variant.model) or variant.model.endswith(MODEL_FILES) for variant in variants):
        scheduler = None
    # Counted once for each network, whatever its arithmetic.
    networks = list(dict.fromkeys((variant.model, variant.width, variant.resolution) for variant in variants))
    calibrated = any(Wanted(variant.precision).has_ranges for variant in variants)
    packed = _Packed(calibration if calibrated else None)
    orders: list[Order[Any]] = [Count(*network) for network in networks]
    orders += [packed.order(variant) for variant in variants]
    made = compute(orders, scheduler, announce)
    costs = dict(zip(networks, islice(made, len(networks)), strict=True))
    for variant, files in zip(variants, made, strict=True):
        path = files.place(folder)
        cost = costs[variant.model, variant.width, variant.resolution]
        yield Built(variant, path, cost.mult_adds, cost.parameters)


class _Packed:
    """Weights and images on their way; each is read once."""

    def __init__(self, calibration: Path | str | None) -> None:
        self._weights: dict[str, Parcel] = {}
        self._calibration: Parcel | str | None = None
        if calibration is not None:
            self._calibration = _pack_images(calibration)

    def order(self, variant: Variant) -> Convert:
        if variant.weights == RANDOM:
            return Convert(variant, None, self._calibration)
        if variant.weights not in self._weights:
            self._weights[variant.weights] = pack(Path(variant.weights))
        weights = self._weights[variant.weights]
        return Convert(replace(variant, weights=weights.name), weights, self._calibration)


def _pack_images(calibration: Path | str) -> Parcel | str:
    """Of a folder the images that calibrate; the word that stands for none."""
    from mobiledeploy.deploy.calibration import NO_DATA, choose_images

    if str(calibration) == NO_DATA:
        return NO_DATA
    folder = Path(calibration)
    return pack(folder, choose_images(folder))
