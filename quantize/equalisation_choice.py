"""Whether equalisation helps a model: it is tried on calibration inputs, with and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

from mobiledeploy.quantize.calibration import Inputs
from mobiledeploy.quantize.noise import NoiseSums, decibel
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import EqualisationChoice

Simulate = Callable[[Sequence[Inputs], Recipe], GraphModule]


def choose_equalisation(
    reference: GraphModule, inputs: Sequence[Inputs], recipe: Recipe, simulate: Simulate
) -> EqualisationChoice:
    """Quantize cheaply with and without equalisation; the SQNR of the outputs decides.

    Equalisation evens out what rounding costs each channel, at a price: every channel then fills the
    range of its tensor, so that every channel is clipped where an input takes it beyond what calibration
    has seen; without it, only the largest ones are.  Which of the two weighs more differs from model to
    model, and shows only on inputs that the ranges do not know: every third input measures, the others
    calibrate.  They are many, since equalisation looks the worse the fewer there are: MobileNetV2 gains
    2.7 dB with 67, and nothing with 8.  Weights go to their nearest codes and outputs stay float, which
    is the same for both.

    SQNR, since agreement is 100% on so few images and a score of classes would leave out other tasks.

    Source: ours; Nagel et al., A White Paper on Neural Network Quantization, arXiv 2106.08295, section
    3.6, always equalise.

    Args:
        reference: the float graph.
        inputs: calibration inputs; fewer than three calibrate and measure.
        recipe: what will be done with the choice.
        simulate: the int8 model in float arithmetic, from inputs that calibrate it and a recipe.
    """
    calibrating = [values for place, values in enumerate(inputs) if place % 3 != 2]
    measured = inputs[2::3] or inputs
    cheap = replace(recipe, rounding="nearest", float_output=True, ranked_output=False)
    wanted = [tree_leaves(reference(*values)) for values in measured]

    def ratio(trial: Recipe) -> float:
        module, sums = simulate(calibrating, trial), NoiseSums()
        for values, outputs in zip(measured, wanted, strict=True):
            for pair in zip(outputs, tree_leaves(module(*values)), strict=True):
                sums.add(*pair)
        return decibel(sums.share)

    return EqualisationChoice(
        on=ratio(replace(cheap, equalisation="on")), off=ratio(replace(cheap, equalisation="off"))
    )
