"""What a diagnosis comes to, in one or two sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mobiledeploy.quantize.graph import LAYERS
from mobiledeploy.quantize.recipe import Recipe

if TYPE_CHECKING:
    from mobiledeploy.quantize.diagnosis import LayerNoise

NAMED = 3
# dB above which an output changes by less than a few percent of its own size.
_CLEAN = 30.0
# Keeping layers float is worth its price where at least half of the noise goes with them.
_WORTH = 0.5


def verdict(rows: Sequence[LayerNoise], total: float, recipe: Recipe) -> str:
    """Who makes the noise, of which kind it is, and what to do next.

    What an exempt layer gains is its weights' noise: its result is rounded again where int8 layers
    read it.  Noises of single layers are taken to add up.

    Args:
        rows: every layer.
        total: of all of them together, dB.
        recipe: what was done.
    """
    whole = sum(_noise(row.isolated) for row in rows)
    if not whole:
        return "Quantization changes nothing."
    weights, results = (
        sum(_noise(getattr(row, kind)) for row in rows) for kind in ("weights_only", "activations_only")
    )
    worst = sorted(rows, key=lambda row: row.isolated)[:NAMED]
    named = _listed(f"{name_of(row)} ({100 * _noise(row.isolated) / whole:.0f}%)" for row in worst)
    source = "weights" if weights > results else "activations"
    share = 100 * max(weights, results) / (weights + results)
    said = (
        f"{total:.1f} dB in all: most of the noise is from {named}, {share:.0f}% of all noise from {source}."
    )
    if len(rows) > NAMED and sum(_noise(row.isolated) for row in worst) < _WORTH * whole:
        said = (
            f"{total:.1f} dB in all: the noise is spread over the layers, {named} first, "
            f"{share:.0f}% of it from {source}."
        )
    return f"{said} {_next_step(rows, total, whole, recipe, source)}"


def name_of(row: LayerNoise) -> str:
    """Its module path, or its operation where it has none."""
    return row.module or row.operation


def _next_step(rows: Sequence[LayerNoise], total: float, whole: float, recipe: Recipe, source: str) -> str:
    if total >= _CLEAN:
        return "Nothing needs to be done."
    free = _free_step(recipe, source)
    if free:
        return free
    layers = sorted((row for row in rows if row.operation in LAYERS), key=lambda row: row.weights_only)
    kept: list[str] = []
    gone = 0.0
    for row in layers[:NAMED]:
        kept.append(name_of(row))
        gone = min(gone + _noise(row.weights_only) / whole, 0.99)
        if gone >= _WORTH:
            left = total - 10 * math.log10(1 - gone)
            return f"Keep {_listed(kept)} float with the recipe's exempt: about {left:.0f} dB would be left."
    if source == "activations" and recipe.activations == "int8":
        return "Try 16-bit activations (--precision int16x8)."
    gain = -10 * math.log10(1 - gone)
    return (
        f"No few layers are to blame: to exempt {_listed(kept)} would gain about {gain:.1f} dB; "
        "--precision fp16 has no such noise."
    )


def _free_step(recipe: Recipe, source: str) -> str:
    """A step that the recipe leaves out and that costs nothing on the device."""
    if source == "activations":
        return "Try the recipe's ranges mse." if recipe.ranges == "minmax" else ""
    if recipe.weights == "per-tensor":
        return "Try the recipe's weights per-channel, where the device can do that."
    missing = [
        step
        for step, lacks in (
            ("rounding adaptive", recipe.rounding == "nearest"),
            ("bias_correction empirical", recipe.bias_correction == "none"),
            ("equalisation auto", recipe.equalisation == "off"),
        )
        if lacks
    ]
    return f"Try the recipe's {_listed(missing)}." if missing else ""


def _listed(items: Iterable[str]) -> str:
    words = list(items)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _noise(decibel: float) -> float:
    return float(10 ** (-decibel / 10))
