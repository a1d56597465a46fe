"""Variants become files, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.deploy.sweep.grid import RANDOM, Variant
from mobiledeploy.layer_cost import Cost
from mobiledeploy.parallel import usable_cores
from mobiledeploy.runtimes.formats import FORMATS

NOISE_IMAGES = 10


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
    variants: Sequence[Variant], folder: Path, calibration: Path | str | None, workers: int | None = None
) -> Iterator[Built]:
    """Convert variants, each in a process of its own kind; the files come in the order of the variants.

    Quantizing what was not trained leaves out what only accuracy needs: time does not depend on it.

    Args:
        variants: none twice.
        folder: of the files, there.
        calibration: images, or ``none``; None: noise, for untrained weights alone.
        workers: processes; None: one for each core.

    Raises:
        MobileDeployError: see ``convert``; of the first variant that fails.
    """
    spawn = multiprocessing.get_context("spawn")
    with _noise() as noise, ProcessPoolExecutor(workers or usable_cores(), spawn, _one_thread) as pool:
        # Counted once for each network, whatever its arithmetic.
        networks = dict.fromkeys((variant.model, variant.width, variant.resolution) for variant in variants)
        costs = {network: pool.submit(_cost, *network) for network in networks}
        files = [
            pool.submit(
                _build, variant, folder, calibration or (noise if variant.weights == RANDOM else None)
            )
            for variant in variants
        ]
        try:
            for variant, file in zip(variants, files, strict=True):
                path = file.result()
                cost = costs[variant.model, variant.width, variant.resolution].result()
                yield Built(variant, path, cost.mult_adds, cost.parameters)
        finally:
            pool.shutdown(cancel_futures=True)


def _build(variant: Variant, folder: Path, calibration: Path | str | None) -> Path:
    from mobiledeploy.deploy.conversion import convert_all
    from mobiledeploy.deploy.sources import as_source
    from mobiledeploy.quantize import Recipe

    source = as_source(
        variant.model, weights=variant.weights, width=variant.width, resolution=variant.resolution
    )
    untrained = variant.weights == RANDOM
    quantized = variant.precision not in ("fp32", "fp16")
    plain = Recipe(ranges="minmax", rounding="nearest", equalisation="off", bias_correction="none")
    path = folder / f"{variant.name}{FORMATS[variant.target].suffixes[0]}"
    convert_all(
        source,
        (variant.target,),
        name=variant.name,
        precision=variant.precision,
        calibration=calibration if variant.precision in ("int8", "int16x8") else None,
        recipe=plain if untrained and quantized else None,
        output=path,
        # Codes of random weights agree with their reals by chance alone.
        verify=not (untrained and quantized),
    )
    return path


def _cost(model: str, width: float | None, resolution: int | None) -> Cost:
    from mobiledeploy.deploy.costing import cost_of

    return cost_of(model, width=width, resolution=resolution)


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
