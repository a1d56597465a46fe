"""The parts of torchao's PT2E that are used, imported without its notes about missing GPU kernels."""

from __future__ import annotations

import logging

_previous = logging.root.manager.disable
logging.disable(logging.WARNING)
try:
    from torchao.quantization.pt2e.observer import ObserverBase
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import (
        DerivedQuantizationSpec,
        FixedQParamsQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
        SharedQuantizationSpec,
    )
finally:
    logging.disable(_previous)

__all__ = [
    "DerivedQuantizationSpec",
    "FixedQParamsQuantizationSpec",
    "ObserverBase",
    "QuantizationAnnotation",
    "QuantizationSpec",
    "Quantizer",
    "SharedQuantizationSpec",
    "convert_pt2e",
    "prepare_pt2e",
]
