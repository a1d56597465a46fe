"""Int8 quantization of a trained, exported program.  Importing the package imports no torch.

``quantize`` turns a float ``ExportedProgram`` and calibration inputs into an int8 one with Q/DQ, as a
``Recipe`` says; ``diagnose`` says which layer costs what.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import (
    EqualisationChoice,
    FineTuning,
    QuantizationWarning,
    Report,
    TensorRange,
)

if TYPE_CHECKING:
    from mobiledeploy.quantize.diagnosis import Diagnosis, LayerNoise, diagnose
    from mobiledeploy.quantize.lesson import Lesson
    from mobiledeploy.quantize.pipeline import Quantized, quantize

__all__ = [
    "Diagnosis",
    "EqualisationChoice",
    "FineTuning",
    "LayerNoise",
    "Lesson",
    "QuantizationWarning",
    "Quantized",
    "Recipe",
    "Report",
    "TensorRange",
    "diagnose",
    "quantize",
]

_HOMES = {
    "Diagnosis": "diagnosis",
    "LayerNoise": "diagnosis",
    "Lesson": "lesson",
    "Quantized": "pipeline",
    "diagnose": "diagnosis",
    "quantize": "pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
