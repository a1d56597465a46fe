"""From a float program and calibration inputs to an int8 program with Q/DQ."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from mobiledeploy.errors import InputError
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.quantize.adaptive_rounding import round_adaptively
from mobiledeploy.quantize.analytic_correction import correct_biases_analytically
from mobiledeploy.quantize.bias_absorption import absorb_biases
from mobiledeploy.quantize.bias_correction import correct_biases
from mobiledeploy.quantize.calibration import KEPT, Inputs, watch
from mobiledeploy.quantize.equalisation import equalise
from mobiledeploy.quantize.equalisation_choice import choose_equalisation
from mobiledeploy.quantize.findings import find_warnings, tensor_ranges
from mobiledeploy.quantize.fine_tuning import Progress, fine_tune
from mobiledeploy.quantize.graph import module_path, tidy
from mobiledeploy.quantize.lesson import Lesson, like_float
from mobiledeploy.quantize.observers import freeze, keep_rounded, set_stage
from mobiledeploy.quantize.pt2e import convert_pt2e, prepare_pt2e
from mobiledeploy.quantize.quantizer import MobileQuantizer
from mobiledeploy.quantize.reach import extremes_of
from mobiledeploy.quantize.recipe import Recipe
from mobiledeploy.quantize.report import Report


@dataclass(frozen=True)
class Quantized:
    """An int8 program and how it came about.

    Attributes:
        program: with ``quantized_decomposed`` operations; weights are int8 and biases int32 constants,
            activations int8.
        report: ranges, warnings and choices.
        recipe: as it was given, with what was chosen in the place of ``auto``.
    """

    program: ExportedProgram
    report: Report
    recipe: Recipe


@dataclass(frozen=True)
class Simulation:
    """The int8 model in float arithmetic.

    Attributes:
        module: graph with observers in stage ``int8``.
        sample: some of the calibration inputs.
        report, recipe: as in ``Quantized``.
    """

    module: GraphModule
    sample: list[Inputs]
    report: Report
    recipe: Recipe


def quantize(
    program: ExportedProgram,
    calibration: Iterable[Inputs],
    recipe: Recipe | None = None,
    *,
    lesson: Lesson | Sequence[Inputs] | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """The int8 program that the recipe makes of a float one.

    Args:
        program: float32, static shapes, batch norm folded; it is left as it was.
        calibration: inputs as the program takes them, batch 1; a stream, read once.
        recipe: what to do; the default one if left out.
        lesson: what fine-tuning learns; a sequence of inputs: to give the float program's outputs on them,
            each read in every epoch; None: on the calibration inputs, which must be a sequence then.
        progress: called as ``progress(done, total)`` after each step of fine-tuning.

    Raises:
        InputError: no calibration inputs, NaN or infinite activations (names the layer), an exempt
            path that names nothing, a program that is quantized already, or fine-tuning that diverges.
    """
    recipe = recipe or Recipe()
    if lesson is not None and not recipe.fine_tuning:
        raise InputError("there is a lesson and no epoch", where="recipe", hint="Set its fine_tuning")
    lesson = calibration if lesson is None and isinstance(calibration, Sequence) else lesson
    if recipe.fine_tuning and lesson is None:
        raise InputError("fine-tuning reads inputs again", where="calibration", hint="Give a sequence")
    with quietly():
        simulation = simulate(program, calibration, recipe)
        if recipe.fine_tuning and lesson is not None:
            if not isinstance(lesson, Lesson):
                lesson = like_float(_tidied(program), simulation.module, lesson)
            done = fine_tune(simulation.module, lesson, recipe, progress)
            simulation = replace(simulation, report=replace(simulation.report, fine_tuning=done))
        keep_rounded(simulation.module)
        converted = convert_pt2e(simulation.module, fold_quantize=True)
        example = program.example_inputs[0]
        result = torch.export.export(converted, example, strict=False)
        return Quantized(result, simulation.report, simulation.recipe)


def simulate(program: ExportedProgram, calibration: Iterable[Inputs], recipe: Recipe) -> Simulation:
    """The steps of ``quantize`` up to bias correction, that included."""
    return _corrected(rounded(program, calibration, recipe))


def rounded(program: ExportedProgram, calibration: Iterable[Inputs], recipe: Recipe) -> Simulation:
    """All steps up to bias correction."""
    _check(program, recipe)
    stream = iter(calibration)
    first = list(islice(stream, KEPT))
    if not first and recipe.needs_inputs:
        raise InputError("there are no calibration inputs", where="calibration", hint="Give some")
    with quietly():
        if recipe.equalisation != "auto":
            return _rounded(program, first, stream, recipe)
        try:
            choice = choose_equalisation(
                _tidied(program),
                first,
                recipe,
                lambda inputs, trial: _corrected(_rounded(program, inputs, (), trial)).module,
            )
        except InputError:
            # An input makes no finite values: the whole run names it by its place among all.
            return _rounded(program, first, stream, replace(recipe, equalisation="on"))
        simulation = _rounded(program, first, stream, replace(recipe, equalisation=choice.taken))
        return replace(simulation, report=replace(simulation.report, equalisation=choice))


def _rounded(
    program: ExportedProgram, first: Sequence[Inputs], others: Iterable[Inputs], recipe: Recipe
) -> Simulation:
    """The steps of a recipe without choices; the first inputs show how far float channels reach."""
    module = _tidied(program)
    if recipe.equalisation == "on":
        equalise(module, extremes_of(module, first), recipe.weights)
    if recipe.absorption:
        absorb_biases(module, extremes_of(module, first))
    quantizer = MobileQuantizer(recipe)
    prepared: GraphModule = prepare_pt2e(module, quantizer)
    watched = watch(prepared, chain(first, others))
    freeze(prepared)
    found = find_warnings(prepared, quantizer.float_nodes, watched)
    report = Report(watched.count, tensor_ranges(prepared), found)
    if recipe.rounding == "adaptive":
        round_adaptively(prepared, watched.sample)
    set_stage(prepared, "int8")
    return Simulation(prepared, watched.sample, report, recipe)


def _corrected(simulation: Simulation) -> Simulation:
    with quietly():
        correct(simulation.module, simulation.sample, simulation.recipe)
    set_stage(simulation.module, "int8")
    return simulation


def _tidied(program: ExportedProgram) -> GraphModule:
    module = program.module(check_guards=False)
    tidy(module)
    return module


def correct(module: GraphModule, sample: list[Inputs], recipe: Recipe) -> None:
    """Correct the biases of a prepared and frozen graph in the recipe's way."""
    if recipe.bias_correction == "empirical":
        correct_biases(module, sample)
    elif recipe.bias_correction == "analytic":
        correct_biases_analytically(module)


@contextmanager
def quietly() -> Iterator[None]:
    """No gradients, and none of torch's warnings about its own use of deprecated functions."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def _check(program: ExportedProgram, recipe: Recipe) -> None:
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    if any("quantize" in str(node.target) for node in nodes):
        raise InputError("it is quantized already", where="program", hint="Start from the float model")
    paths = {module_path(node) for node in nodes}
    for exempt in recipe.exempt:
        if not any(path == exempt or path.startswith(f"{exempt}.") for path in paths):
            raise InputError(
                f"no layer is called '{exempt}'",
                where="recipe",
                hint=did_you_mean(exempt, sorted(paths), otherwise="Use PyTorch module paths", most=2),
            )
