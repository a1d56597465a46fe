"""What each step of quantization is worth: int8 TFLite files with float logits on the 1000 labelled images.

``python benchmarks/int8_ablation.py [MODEL ...] [--json]``, by default v1 and v2; calibrated on 100 images.
Seconds are the processor's in ``quantize``, one thread; the data-free row has the making of its inputs, too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring import CALIBRATION, HEAD, HOME, Comparison, Images, arguments, compare, float_file, load, scores

from mobiledeploy.quantize import Recipe, quantize

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

DEFAULT_MODELS = ("v1", "v2")
DATA_FREE = "default, data-free"
NAIVE = {"ranges": "minmax", "rounding": "nearest", "equalisation": "off", "bias_correction": "none"}
MSE = {**NAIVE, "ranges": "mse"}
EQUALISED = {**MSE, "equalisation": "on"}
# A plus adds a step to the row before; "instead" takes the place of the step of the row before.
STEPS: dict[str, dict[str, Any]] = {
    "naive": NAIVE,
    "+ mse ranges": MSE,
    "+ equalisation": EQUALISED,
    "+ absorption": {**EQUALISED, "absorption": True},
    "analytic correction instead": {**EQUALISED, "bias_correction": "analytic"},
    "empirical correction instead": {**EQUALISED, "bias_correction": "empirical"},
    "+ adaptive rounding": {"equalisation": "on"},
    "+ equalisation by trial = default": {},
    "default, absorption": {"absorption": True},
    "default, analytic": {"bias_correction": "analytic"},
    "default, no equalisation": {"equalisation": "off"},
    "default, percentile": {"ranges": "percentile"},
    "default, entropy": {"ranges": "entropy"},
    "default, min-max": {"ranges": "minmax"},
    "per-tensor": {"weights": "per-tensor"},
    "per-tensor, equalisation": {"weights": "per-tensor", "equalisation": "on"},
    "per-tensor, no equalisation": {"weights": "per-tensor", "equalisation": "off"},
    DATA_FREE: {},
}

Inputs = Iterable[tuple["torch.Tensor", ...]]


@dataclass(frozen=True)
class Row:
    """A step's file against the float one, and the processor's seconds in the quantizer."""

    step: str
    seconds: float
    result: Comparison

    def __str__(self) -> str:
        return f"{self.result} {self.seconds:7.1f} s"


def rows(model: str) -> Iterator[Row]:
    """A row per step."""
    from mobiledeploy.converters.export import export
    from mobiledeploy.deploy.calibration import calibration_for
    from mobiledeploy.deploy.samples import one_thread

    source = load(model)
    images = Images.of(source.preprocessing)
    exact = scores(float_file(model, source), images)
    program = export(source)
    photos = list(calibration_for(source, program, CALIBRATION).inputs)
    for step, changes in STEPS.items():
        start = time.process_time()
        inputs: Inputs = photos
        if step == DATA_FREE:
            inputs = calibration_for(source, program, "none").inputs
        with one_thread():
            quantized = quantize(program, inputs, Recipe(float_output=True, **changes)).program
        seconds = time.process_time() - start
        path = written(model, step, source, quantized)
        yield Row(step, seconds, compare(model, step, exact, scores(path, images)))


def written(model: str, step: str, source: Any, program: ExportedProgram) -> Path:
    """The step's file."""
    from mobiledeploy.converters import write
    from mobiledeploy.converters.describe import describe

    folder = HOME / model / "ablation"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{list(STEPS).index(step):02}.tflite"
    write("tflite", program, describe(source, program, "tflite"), "fp32", path)
    return path


def main() -> None:
    given = arguments(__doc__)
    named = any(not argument.startswith("-") for argument in sys.argv[1:])
    if not given.json:
        print(f"{HEAD}  quantize")
    for model in given.models if named else DEFAULT_MODELS:
        for row in rows(model):
            print(json.dumps(asdict(row)) if given.json else str(row), flush=True)


if __name__ == "__main__":
    main()
