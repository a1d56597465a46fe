"""What is done for a sweep somewhere: plain data that can be pickled, and gives the same everywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mobiledeploy.deploy.matrix import PACKAGES
from mobiledeploy.deploy.outputs import move_into_place
from mobiledeploy.deploy.sweep.grid import RANDOM, Variant
from mobiledeploy.deploy.wanted import Wanted
from mobiledeploy.device_tests.lab.parcel import Parcel, pack
from mobiledeploy.errors import EnvironmentProblem, MobileDeployError
from mobiledeploy.layer_cost import Cost
from mobiledeploy.runtimes.formats import FORMATS

NOISE_IMAGES = 10
# Packages of these extras have a say in a file's bytes.
_CONVERTING = frozenset({"base", "torch", "tflite", "onnx", "coreml"})


@dataclass(frozen=True, slots=True)
class Files:
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
class Convert:
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

    def do(self) -> Files:
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
            return Files(None if made is None else pack(made), error, str(folder / "made"))

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
        wanted = Wanted(variant.precision)
        plain = Recipe(ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none")
        with self._images(folder) as images:
            convert_all(
                source,
                (variant.target,),
                name=variant.name,
                precision=variant.precision,
                calibration=images if wanted.has_ranges else None,
                recipe=plain if untrained and wanted.is_quantized else None,
                output=folder / "made" / f"{variant.name}{FORMATS[variant.target].suffixes[0]}",
                # Codes of random weights agree with their reals by chance alone.
                verify=not (untrained and wanted.is_quantized),
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
class Count:
    """Mult-adds and parameters of one network."""

    model: str
    width: float | None
    resolution: int | None

    def do(self) -> Cost:
        """See ``Order.do``."""
        from mobiledeploy.deploy.costing import cost_of

        _one_thread()
        return cost_of(self.model, width=self.width, resolution=self.resolution)


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
