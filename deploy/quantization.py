"""A float program becomes a quantized one, with the yardstick for the files made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Precision, Provenance
from mobiledeploy.deploy.calibration import NO_DATA, Progress, calibration_for
from mobiledeploy.deploy.samples import Reference, one_thread, reference_on, simulate
from mobiledeploy.errors import VerificationError
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import numpy as np
    from torch.export import ExportedProgram
    from torch.fx import Node

    from mobiledeploy.quantize import QuantizationWarning, Recipe

# A file may differ from PyTorch by this much more than PyTorch's own simulation of it.
SLACK = 2.0
# Below this share of equal predictions on the calibration inputs the result is of no use.
LEAST_AGREEMENT = 0.5

Outputs = tuple[tuple["np.ndarray", ...], ...]


@dataclass(frozen=True)
class QuantizedProgram:
    """What quantized files are written from.

    Attributes:
        program: with Q/DQ.
        provenance: of the source, with recipe and calibration.
        reference: what the float source computes on some calibration inputs, and how far the
            simulation of the quantized program is from it.
        warnings: named findings about layers and inputs.
    """

    program: ExportedProgram
    provenance: Provenance
    reference: Reference
    warnings: tuple[QuantizationWarning, ...]


def quantize_program(
    source: SourceModel,
    program: ExportedProgram,
    calibration: str | Path | None,
    recipe: Recipe,
    precision: Precision,
    progress: Progress | None = None,
) -> QuantizedProgram:
    """Quantize a program and simulate the result.

    Raises:
        InputError: the calibration does not fit (see ``calibration_for``), or activations are not finite.
        VerificationError: the quantized program hardly ever predicts what the float one does.
    """
    from mobiledeploy.quantize import quantize
    from mobiledeploy.quantize.dynamic import dynamic

    chosen = calibration_for(source, program, calibration, progress)
    with one_thread():
        quantized = quantize(program, chosen.inputs, recipe)
    reference = _in_range(reference_on(source, chosen.compared, chosen.images), quantized.program)
    module = quantized.program.module()
    simulated = simulate(dynamic(module) if precision == "int8-dynamic" else module, reference.samples)
    if chosen.said:
        _check_agreement(source, reference, simulated)
    provenance = replace(source.provenance, recipe=recipe.to_json(), calibration=chosen.said)
    measured = replace(reference, tolerances=_tolerances(reference, simulated))
    found = quantized.report.warnings
    if str(calibration) == NO_DATA:
        found = tuple(warning for warning in found if warning.name != "few-inputs")
    return QuantizedProgram(quantized.program, provenance, measured, found)


def _in_range(reference: Reference, program: ExportedProgram) -> Reference:
    """With each output cut to the range of its codes, where it has any: what lies beyond is no error."""
    import numpy as np

    nodes = {node.name: node for node in program.graph.nodes}
    limits = [_limits(nodes[str(name)]) for name in program.graph_signature.user_outputs]
    outputs = tuple(
        tuple(np.clip(array, *limit) for array, limit in zip(arrays, limits, strict=True))
        for arrays in reference.outputs
    )
    return replace(reference, outputs=outputs)


def _limits(node: Node) -> tuple[float, float]:
    if str(node.target) != "quantized_decomposed.dequantize_per_tensor.default":
        return -math.inf, math.inf
    _, scale, zero_point, low, high = node.args[:5]
    return (low - zero_point) * scale, (high - zero_point) * scale  # type: ignore[operator, return-value]


def _tolerances(reference: Reference, simulated: Outputs) -> tuple[float, ...]:
    """Per output: twice the simulation's largest difference from the float source."""
    import numpy as np

    pairs = zip(zip(*reference.outputs, strict=True), zip(*simulated, strict=True), strict=True)
    return tuple(
        SLACK * max(float(np.abs(a - b).max()) for a, b in zip(exact, rough, strict=True))
        for exact, rough in pairs
    )


def _check_agreement(source: SourceModel, reference: Reference, simulated: Outputs) -> None:
    if source.task != "image-classification":
        return
    pairs = zip(reference.outputs, simulated, strict=True)
    same = sum(int(exact[0].argmax() == rough[0].argmax()) for exact, rough in pairs)
    if same < LEAST_AGREEMENT * len(simulated):
        raise VerificationError(
            f"quantized, it predicts what it did on {same} of {len(simulated)} calibration inputs",
            where=source.provenance.model,
            hint="Check that the images are what the model is for, and its preprocessing; "
            "`mobiledeploy diagnose` shows which layer is to blame",
        )
