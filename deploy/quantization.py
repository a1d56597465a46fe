"""A float program becomes a quantized one, with the yardstick for the files made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mobiledeploy.contract import Precision, Provenance
from mobiledeploy.deploy.calibration import Calibration, Progress
from mobiledeploy.deploy.samples import Reference, one_thread, reference_on, simulate
from mobiledeploy.errors import VerificationError
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import numpy as np
    from torch.export import ExportedProgram
    from torch.fx import Node

    from mobiledeploy.quantize import Diagnosis, Lesson, QuantizationWarning, Recipe

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
        same: share of the compared inputs that it predicts as the source does; 1 for what is no classifier,
            was not trained or not calibrated.
        recipe: with nothing left to be chosen.
    """

    program: ExportedProgram
    provenance: Provenance
    reference: Reference
    warnings: tuple[QuantizationWarning, ...]
    same: float
    recipe: Recipe

    def refuse_nonsense(self) -> None:
        """Refuse a program that has lost what its source knew.

        Raises:
            VerificationError: it hardly ever predicts what the float one does.
        """
        if self.same < LEAST_AGREEMENT:
            raise VerificationError(
                f"quantized, it predicts what it did on {100 * self.same:.0f}% of the calibration inputs",
                where=self.provenance.model,
                hint="Check that the images are what the model is for, and its preprocessing; "
                "`mobiledeploy diagnose` shows which layer is to blame",
            )


@dataclass(frozen=True)
class Quantizer:
    """Quantizes one program on one calibration, by any recipe.

    Attributes:
        source: what is quantized.
        program: the same, exported.
        calibration: inputs that show its activations.
        precision: of the files that will be written.
        lesson: what fine-tuning learns; None: to give the float model's outputs.
        progress: called as ``progress(done, total)`` after each step of it.
    """

    source: SourceModel
    program: ExportedProgram
    calibration: Calibration
    precision: Precision
    lesson: Lesson | None = None
    progress: Progress | None = None

    def quantize(self, recipe: Recipe) -> QuantizedProgram:
        """Quantize and simulate.

        Raises:
            InputError: activations that are not finite, a recipe that does not fit, or fine-tuning that
                diverges.
        """
        from mobiledeploy.quantize import quantize
        from mobiledeploy.quantize.dynamic import dynamic

        shown = self.calibration
        learnt = shown.learnt if recipe.fine_tuning and self.lesson is None else None
        with one_thread():
            quantized = quantize(
                self.program, shown.inputs, recipe, lesson=self.lesson or learnt, progress=self.progress
            )
        reference = _in_range(reference_on(self.source, shown.compared, shown.images), quantized.program)
        module = quantized.program.module()
        simulated = simulate(
            dynamic(module) if self.precision == "int8-dynamic" else module, reference.samples
        )
        trained = self.source.provenance.weights != "random"
        judged = bool(shown.said) and trained and self.source.task == "image-classification"
        same = _agreement(reference, simulated) if judged else 1.0
        report = quantized.report
        provenance = replace(
            self.source.provenance,
            recipe=quantized.recipe.to_json(),
            calibration=f"{shown.said}; learnt from {learnt.said}" if learnt else shown.said,
            choices=report.choices,
        )
        measured = replace(reference, tolerances=_tolerances(reference, simulated))
        return QuantizedProgram(
            quantized.program, provenance, measured, report.warnings, same, quantized.recipe
        )

    def diagnose(self, recipe: Recipe) -> Diagnosis:
        """What each layer costs under a recipe."""
        from mobiledeploy.quantize import diagnose

        with one_thread():
            return diagnose(self.program, self.calibration.inputs, recipe)


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


def _agreement(reference: Reference, simulated: Outputs) -> float:
    pairs = zip(reference.outputs, simulated, strict=True)
    return sum(int(exact[0].argmax() == rough[0].argmax()) for exact, rough in pairs) / len(simulated)
