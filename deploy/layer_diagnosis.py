"""Which layer of a model costs what in int8: load, export, calibrate, measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.deploy.calibration import calibration_for
from mobiledeploy.deploy.samples import one_thread
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.deploy.wanted import for_task
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch

    from mobiledeploy.contract import Preprocessing
    from mobiledeploy.quantize import Diagnosis, Recipe


def diagnose(
    model: torch.nn.Module | str | SourceModel | None = None,
    *,
    calibration: str | Path,
    recipe: Recipe | None = None,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    example_input: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Diagnosis:
    """Quantize a model as ``convert`` does and measure the noise of each layer; no file is written.

    Args:
        model, weights, width, resolution, example_input, preprocessing: as for ``convert``.
        calibration: folder of images, or ``none`` to take batch norm statistics.
        recipe: how to quantize, activations included; None: the default recipe of ``precision="int8"``.

    Returns:
        Signal to noise ratios in dB per layer, in graph order, and a verdict.

    Raises:
        InputError: the model, its weights, the calibration or the recipe is wrong.
        EnvironmentProblem: a package or weight file is not on this machine.
    """
    source = as_source(
        model,
        weights=weights,
        width=width,
        resolution=resolution,
        example_input=example_input,
        preprocessing=preprocessing,
    )
    return diagnose_source(source, calibration, recipe)


def diagnose_source(
    source: SourceModel,
    calibration: str | Path | None,
    recipe: Recipe | None = None,
    stages: Stages | None = None,
) -> Diagnosis:
    """As ``diagnose``, for a loaded model.

    Args:
        source: what to quantize.
        calibration, recipe: as for ``diagnose``; a calibration of None is refused.
        stages: stages to time and announce.
    """
    if calibration is None:
        raise InputError(
            "layers are measured on calibration inputs",
            hint="Give --calibration DIR with images, or none to take batch norm statistics",
        )
    stages = stages or Stages()
    with needs("torch"):
        from mobiledeploy.converters.export import export
        from mobiledeploy.quantize import Recipe
        from mobiledeploy.quantize import diagnose as measure
    chosen = for_task(recipe or Recipe(), source)
    name = source.provenance.model
    with stages.stage("export", name):
        program = export(source)
    with stages.stage("calibrate", name):
        shown = calibration_for(source, program, calibration, stages.progress("calibration inputs"))
    with stages.stage("diagnose", name), needs("torch"), one_thread():
        return measure(program, shown.inputs, chosen)
