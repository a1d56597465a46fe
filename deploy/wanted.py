"""The arithmetic that was asked for: what goes together, and what a target can't do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import UNSIGNED_SHIFT, Contract, InputDtype, Precision, Target, TensorSpec
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.models import MODEL_FILES

if TYPE_CHECKING:
    from mobiledeploy.deploy.budget import Drop
    from mobiledeploy.quantize import Recipe
    from mobiledeploy.quantize.recipe import Activations
    from mobiledeploy.source import SourceModel


@dataclass(frozen=True, slots=True)
class _Quantized:
    """A quantized arithmetic.

    Attributes:
        activations: of its recipe.
        codes: dtypes that a TFLite file of it can take and give.
        refused: why a target can't do it, where it can't.
    """

    activations: Activations
    codes: tuple[InputDtype, ...] = ("float32",)
    refused: Mapping[Target, str] = field(default_factory=dict)


_QUANTIZED: dict[Precision, _Quantized] = {
    "int8": _Quantized("int8", ("float32", "int8", "uint8")),
    "int16x8": _Quantized(
        "int16",
        ("float32", "int16"),
        {
            "onnx": "ONNX Runtime has no integer kernels for int16 activations",
            "coreml": "Core ML has no int16 activations",
        },
    ),
    "int8-dynamic": _Quantized(
        "float", refused={"coreml": "Core ML has no layers that quantize their inputs as they run"}
    ),
    "int8-weights": _Quantized("float"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arithmetic of the files, as the caller asked for it; None: as the precision has it."""

    precision: Precision
    input_dtype: InputDtype | None = None
    output_dtype: InputDtype | None = None

    @property
    def is_quantized(self) -> bool:
        """Whether weights become integers."""
        return self.precision in _QUANTIZED

    @property
    def has_ranges(self) -> bool:
        """Whether activations become integers, so that their ranges must be known."""
        return self.is_quantized and _QUANTIZED[self.precision].activations != "float"

    @property
    def pixels_inside(self) -> bool:
        """Whether the file takes pixels and normalises them itself."""
        return not self.has_ranges and self.input_dtype == "uint8"

    @property
    def suffix(self) -> str:
        """What the file's name says of it."""
        arithmetic = "" if self.precision == "fp32" else f"_{self.precision.replace('-', '_')}"
        return arithmetic + ("_uint8" if self.input_dtype == "uint8" else "")

    def recipe(self, given: Recipe | None, source: SourceModel, calibrated: bool) -> Recipe:
        """The caller's recipe, or the default one for this arithmetic, output and source.

        Raises:
            InputError: the caller's recipe is for another arithmetic, or another output.
        """
        from mobiledeploy.quantize import Recipe as Default

        activations = _QUANTIZED[self.precision].activations
        float_output = self.output_dtype == "float32"
        if given is None:
            recipe = Default(activations=activations, float_output=float_output)
            return for_task(recipe if calibrated else recipe.without_inputs(), source)
        if given.activations not in (activations, Default().activations):
            raise InputError(
                f"it is for {given.activations} activations, --precision {self.precision} is not",
                where="recipe",
                hint="Leave activations out of the recipe: the precision says it",
            )
        if given.float_output and self.output_dtype not in (None, "float32"):
            raise InputError(
                f"its float_output and --output-dtype {self.output_dtype} do not go together",
                where="recipe",
                hint="Leave one of them out",
            )
        recipe = replace(given, activations=activations, float_output=given.float_output or float_output)
        return for_task(recipe, source)

    def check(self, targets: Sequence[Target], calibrated: bool, has_recipe: bool = False) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: says which options, and what to ask for.
            UnsupportedError: a target has no such arithmetic.
        """
        kind = _QUANTIZED.get(self.precision)
        if kind is None:
            if (
                calibrated
                or has_recipe
                or self.output_dtype is not None
                or self.input_dtype in ("int8", "int16")
            ):
                raise InputError(
                    "calibration, a recipe, an output dtype and an integer input are for quantized files",
                    hint="Add --precision int8, or leave them out",
                )
            return
        for target in targets:
            if target in kind.refused:
                able = ", ".join(name for name, other in _QUANTIZED.items() if target not in other.refused)
                raise UnsupportedError(
                    f"{target} can't do {self.precision}: {kind.refused[target]}",
                    hint=f"It can do {able}, fp16 and fp32",
                )
        if self.has_ranges and not calibrated:
            raise InputError(
                f"{self.precision} needs the range of each activation",
                hint="Give --calibration DIR with images, or none to take batch norm statistics",
            )
        self._check_borders(targets, kind)

    def _check_borders(self, targets: Sequence[Target], kind: _Quantized) -> None:
        asked = {None if self.pixels_inside else self.input_dtype, self.output_dtype} - {None}
        wrong = sorted(str(dtype) for dtype in asked - set(kind.codes))
        if wrong:
            raise InputError(
                f"{self.precision} files do not take or give {wrong[0]}",
                hint=f"They do {' and '.join(kind.codes)}",
            )
        integers = sorted(str(dtype) for dtype in asked - {"float32"})
        if integers and set(targets) != {"tflite"}:
            raise InputError(
                f"only TFLite files take or give {integers[0]} codes",
                hint="Quantized ONNX and Core ML files take and give float32: leave the dtypes out",
            )

    def check_drop(self, drop: Drop, source: SourceModel) -> None:
        """Refuse a largest drop where it makes no sense.

        Raises:
            InputError: the files are not quantized, the source is no classifier, or it is no percentage.
        """
        if not self.is_quantized or source.task != "image-classification" or not 0 <= drop.points < 100:
            raise InputError(
                "a largest drop is for quantized classifiers, in percentage points from 0",
                where="--max-drop",
                hint="For example --precision int8 --max-drop 0.5",
            )

    def promise(self, contract: Contract) -> Contract:
        """The contract with the dtypes that were asked for where the file has codes."""
        return replace(
            contract,
            inputs=tuple(_in_dtype(spec, self.input_dtype) for spec in contract.inputs),
            outputs=tuple(_in_dtype(spec, self.output_dtype) for spec in contract.outputs),
        )


def file_stem(reference: str, *, width: float | None = None, resolution: int | None = None) -> str:
    """Stem of a model's files: the last part of its reference, then what was chosen."""
    # A zoo name may be followed by its width in brackets.
    name = reference.partition(" (")[0]
    if name.endswith(MODEL_FILES):
        name = Path(name).stem
    stem = name.rpartition(":")[2].rpartition("/")[2]
    chosen = [f"{value:g}" for value in (width, resolution) if value is not None]
    return "_".join([stem or "model", *chosen])


def for_task(recipe: Recipe, source: SourceModel) -> Recipe:
    """The recipe with what it leaves to the source's task: int8 scores of a classifier are ranked."""
    if recipe.ranked_output is not None:
        return recipe
    ranked = source.task == "image-classification" and not recipe.float_output
    return replace(recipe, ranked_output=ranked)


def _in_dtype(spec: TensorSpec, dtype: InputDtype | None) -> TensorSpec:
    if dtype is None or dtype == spec.dtype or spec.scale is None or spec.zero_point is None:
        return spec
    if dtype == "float32":
        return replace(spec, dtype=dtype, scale=None, zero_point=None)
    return replace(spec, dtype=dtype, zero_point=spec.zero_point + UNSIGNED_SHIFT)
