"""Variants become files: each is an order that any host can do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.matrix import PACKAGES
from mobiledeploy.deploy.outputs import move_into_place
from mobiledeploy.deploy.sweep.computing import compute
from mobiledeploy.deploy.sweep.grid import RANDOM, Variant
from mobiledeploy.device_tests.lab.parcel import Parcel, pack
from mobiledeploy.errors import EnvironmentProblem, MobileDeployError
from mobiledeploy.layer_cost import Cost
from mobiledeploy.models.references import CALLABLE
from mobiledeploy.runtimes.formats import FORMATS

if TYPE_CHECKING:
    from mobiledeploy.device_tests.lab.client import Order

NOISE_IMAGES = 10
_CALIBRATED = ("int8", "int16x8")
# Packages of these extras have a say in a file's bytes.
_CONVERTING = frozenset({"base", "torch", "tflite", "onnx", "coreml"})


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
            converted here: other hosts lack its code.
        announce: told where they are converted.

    Raises:
        MobileDeployError: see ``convert``; of the first variant that fails.
        LabUnavailableError: no lab's scheduler answers, or it has gone.
    """
    if any(_is_code_of_the_user(variant.model) for variant in variants):
        scheduler = None
    # Counted once for each network, whatever its arithmetic.
    networks = list(dict.fromkeys((variant.model, variant.width, variant.resolution) for variant in variants))
    calibrated = any(variant.precision in _CALIBRATED for variant in variants)
    packed = _Packed(calibration if calibrated else None)
    orders: list[Order[Any]] = [_Count(*network) for network in networks]
    orders += [packed.order(variant) for variant in variants]
    made = compute(orders, scheduler, announce)
    costs = dict(zip(networks, islice(made, len(networks)), strict=True))
    for variant, files in zip(variants, made, strict=True):
        path = files.place(folder)
        cost = costs[variant.model, variant.width, variant.resolution]
        yield Built(variant, path, cost.mult_adds, cost.parameters)


@dataclass(frozen=True, slots=True)
class _Files:
    """What came of a conversion.

    Attributes:
        parcel: the file, or the one that was rejected; None: there is none.
        error: why it was rejected, or is not there.
        where: the folder in which it was made, as the error names it.
    """

    parcel: Parcel | None
    error: MobileDeployError | None
    where: str

    def place(self, folder: Path) -> Path:
        """Put the file into a folder, whole or not at all.

        Raises:
            MobileDeployError: why there is none.
        """
        path = folder
        if self.parcel is not None:
            path = folder / self.parcel.name
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as part:
                move_into_place(self.parcel.unpack(Path(part)), path)
        if self.error is not None:
            self.error.where = self.error.where.replace(self.where, str(folder))
            raise self.error
        return path


@dataclass(frozen=True, slots=True)
class _Convert:
    """One variant, with all that it is made from.

    Attributes:
        variant: its weights are named, not where they are.
        weights: of a variant that is trained.
        calibration: images; ``none`` for batch norm statistics; None: noise, or not wanted.
        tools: versions of what makes the file, where it is wanted.
    """

    variant: Variant
    weights: Parcel | None
    calibration: Parcel | str | None
    tools: tuple[tuple[str, str], ...] = field(default_factory=lambda: tuple(_tools()))

    def do(self) -> _Files:
        """See ``Order.do``."""
        self._check_tools()
        _one_thread()
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for name in ("weights", "images", "made"):
                (folder / name).mkdir()
            error = None
            try:
                self._convert(folder)
            except MobileDeployError as problem:
                error = problem
            made = next((folder / "made").iterdir(), None)
            return _Files(None if made is None else pack(made), error, str(folder / "made"))

    def _convert(self, folder: Path) -> None:
        from mobiledeploy.deploy.conversion import convert_all
        from mobiledeploy.deploy.sources import as_source
        from mobiledeploy.quantize import Recipe

        variant, untrained = self.variant, self.weights is None
        source = as_source(
            variant.model,
            weights=RANDOM if self.weights is None else self.weights.unpack(folder / "weights"),
            width=variant.width,
            resolution=variant.resolution,
        )
        quantized = variant.precision not in ("fp32", "fp16")
        plain = Recipe(ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none")
        with self._images(folder) as images:
            convert_all(
                source,
                (variant.target,),
                name=variant.name,
                precision=variant.precision,
                calibration=images if variant.precision in _CALIBRATED else None,
                recipe=plain if untrained and quantized else None,
                output=folder / "made" / f"{variant.name}{FORMATS[variant.target].suffixes[0]}",
                # Codes of random weights agree with their reals by chance alone.
                verify=not (untrained and quantized),
            )

    @contextmanager
    def _images(self, folder: Path) -> Iterator[Path | str | None]:
        if isinstance(self.calibration, Parcel):
            yield self.calibration.unpack(folder / "images")
        elif self.calibration is None and self.weights is None:
            with _noise() as noise:
                yield noise
        else:
            yield self.calibration

    def _check_tools(self) -> None:
        """Refuse to make other bytes than the host that asks."""
        ours = dict(_tools())
        if other := [name for name, wanted in self.tools if ours.get(name) != wanted]:
            here = ", ".join(f"{name} {ours.get(name, 'none')}" for name in other)
            asked = ", ".join(f"{name} {wanted}" for name, wanted in self.tools if name in other)
            raise EnvironmentProblem(
                f"a host of the lab has {here}, and the one that asks {asked}",
                where=self.variant.name,
                hint="Install the same versions on every host that converts, or start its worker with "
                "--cores 0",
            )


@dataclass(frozen=True, slots=True)
class _Count:
    """Mult-adds and parameters of one network."""

    model: str
    width: float | None
    resolution: int | None

    def do(self) -> Cost:
        """See ``Order.do``."""
        from mobiledeploy.deploy.costing import cost_of

        _one_thread()
        return cost_of(self.model, width=self.width, resolution=self.resolution)


class _Packed:
    """Weights and images on their way; each is read once."""

    def __init__(self, calibration: Path | str | None) -> None:
        self._weights: dict[str, Parcel] = {}
        self._calibration: Parcel | str | None = None
        if calibration is not None:
            self._calibration = _pack_images(calibration)

    def order(self, variant: Variant) -> _Convert:
        if variant.weights == RANDOM:
            return _Convert(variant, None, self._calibration)
        if variant.weights not in self._weights:
            self._weights[variant.weights] = pack(Path(variant.weights))
        weights = self._weights[variant.weights]
        return _Convert(replace(variant, weights=weights.name), weights, self._calibration)


def _pack_images(calibration: Path | str) -> Parcel | str:
    """Of a folder the images that calibrate; the word that stands for none."""
    from mobiledeploy.deploy.calibration import NO_DATA, choose_images

    if str(calibration) == NO_DATA:
        return NO_DATA
    folder = Path(calibration)
    return pack(folder, choose_images(folder))


def _is_code_of_the_user(model: str) -> bool:
    foreign = model.partition(":")[0] in ("timm", "torchvision")
    return model.endswith(".pt2") or (CALLABLE.fullmatch(model) is not None and not foreign)


def _tools() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        if _CONVERTING.intersection(package.extras):
            try:
                yield package.name, version(package.name)
            except PackageNotFoundError:
                continue


@contextmanager
def _noise() -> Iterator[Path]:
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(NOISE_IMAGES):
            pixels = generator.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).resize((256, 256)).save(Path(folder) / f"{index}.png")
        yield Path(folder)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
