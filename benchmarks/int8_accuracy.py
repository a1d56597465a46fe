"""Int8 files against the float TFLite file on the 1000 labelled images, with floors.

``python benchmarks/int8_accuracy.py [MODEL ...] [--json] [--data-free] [--per-tensor] [--fine-tuned]``;
calibrated on 100 images.  Ends with code 1 where a floor is missed.  Core ML files are evaluated by the
reference, from their own bytes, except on macOS.  ``--data-free`` adds the files made without images;
``--per-tensor`` makes all with one scale per weight; ``--fine-tuned`` adds files that were fine-tuned on 300
images.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scoring import (
    CALIBRATION,
    HEAD,
    Comparison,
    Failed,
    Images,
    Scores,
    arguments,
    compare,
    float_file,
    int8_files,
    load,
    scores,
)

from mobiledeploy.contract import TARGETS
from mobiledeploy.errors import MobileDeployError


@dataclass(frozen=True)
class Floor:
    """Drop in points at most, agreement in percent and SQNR in dB at least; None: no floor."""

    drop: float
    agreement: float | None = None
    sqnr_db: float | None = None

    def missed(self, row: Comparison) -> list[str]:
        """What the row is short of."""
        problems = [f"drop {row.drop:.1f} > {self.drop:g}"] if row.drop > self.drop + 1e-9 else []
        for name in ("agreement", "sqnr_db"):
            least, value = getattr(self, name), getattr(row, name)
            if least is not None and value < least:
                problems.append(f"{name.removesuffix('_db')} {value:.1f} < {least:g}")
        return problems


FLOAT_LOGITS, FULL_INTEGER = "float logits", "full-integer"
FLOORS = {
    FLOAT_LOGITS: {
        "v1": Floor(0.3, 98, 24),
        "v1_025": Floor(0.6, 94, 20),
        "v2": Floor(0.5, 95, 20),
        "lite0": Floor(0.5, 96, 20),
    },
    FULL_INTEGER: {
        "v1": Floor(0.7, 95),
        "v1_025": Floor(1.0, 91),
        "v2": Floor(0.9, 93),
        "lite0": Floor(0.9, 94),
    },
}
PER_TENSOR = {"v1": Floor(3.0), "v2": Floor(2.0)}
# Without data the drop may be larger by this many points.
DATA_FREE = 0.7
# Epochs of fine-tuning.
EPOCHS = 5
# Codes go in and out of TFLite files only; the ONNX file takes float32 and gives what the codes stand for.
KINDS = {FLOAT_LOGITS: TARGETS, FULL_INTEGER: ("tflite", "onnx")}


@dataclass(frozen=True)
class Variant:
    """How the files are made."""

    name: str = "calibrated"
    calibration: str | Path = CALIBRATION
    per_tensor: bool = False
    epochs: int = 0

    def label(self, file: str) -> str:
        """A row's name; the usual way is not said."""
        return file if self == Variant(per_tensor=self.per_tensor) else f"{file}, {self.name}"

    def files(self, model: str, source: Any, kind: str) -> dict[str, Path | Failed]:
        """The files of a kind by target, or why there is none."""
        name = f"{self.name}{' per-tensor' * self.per_tensor} {kind}"
        options = {
            "output_dtype": "float32" if kind == FLOAT_LOGITS else None,
            "calibration": self.calibration,
            "recipe": self.recipe(kind),
        }
        try:
            return {**int8_files(model, source, name, KINDS[kind], **options)}
        except (MobileDeployError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            return {target: Failed(model, self.label(f"{target} {kind}"), reason) for target in KINDS[kind]}

    def recipe(self, kind: str) -> Any:
        """None: the default."""
        from mobiledeploy.quantize import Recipe

        if not self.per_tensor and not self.epochs:
            return None
        weights = "per-tensor" if self.per_tensor else "per-channel"
        return Recipe(weights=weights, fine_tuning=self.epochs, float_output=kind == FLOAT_LOGITS)


def measure(
    model: str, source: Any, variant: Variant, images: Images, exact: Scores
) -> Iterator[Comparison | Failed]:
    """A row per file."""
    for kind in KINDS:
        for target, made in variant.files(model, source, kind).items():
            label = variant.label(f"{target} {kind}")
            try:
                yield made if isinstance(made, Failed) else compare(model, label, exact, scores(made, images))
            except MobileDeployError as error:
                yield Failed(model, label, str(error).splitlines()[0])


def judge(row: Comparison | Failed, floor: Floor | None) -> list[str] | None:
    """What a row is short of, None without a floor; a file that there is none of is short of everything."""
    if isinstance(row, Failed):
        return ["no file"]
    return None if floor is None else floor.missed(row)


def floors(model: str, per_tensor: bool) -> dict[str, Floor | None]:
    """By kind of file."""
    if per_tensor:
        return dict.fromkeys(KINDS, PER_TENSOR.get(model))
    return {kind: FLOORS[kind][model] for kind in KINDS}


def kind_of(row: Comparison | Failed) -> str:
    """Of the row's file."""
    return next(kind for kind in KINDS if kind in row.file)


def rows(
    model: str, *, data_free: bool, per_tensor: bool, fine_tuned: bool
) -> Iterator[tuple[Comparison | Failed, list[str] | None]]:
    """Each file's row with what it is short of."""
    source = load(model)
    images = Images.of(source.preprocessing)
    exact = scores(float_file(model, source), images)
    wanted = floors(model, per_tensor)
    without: dict[str, Floor] = {}
    for row in measure(model, source, Variant(per_tensor=per_tensor), images, exact):
        if isinstance(row, Comparison):
            without[row.file] = Floor(row.drop + DATA_FREE)
        yield row, judge(row, wanted[kind_of(row)])
    if data_free:
        variant = Variant("data-free", "none", per_tensor)
        for row in measure(model, source, variant, images, exact):
            yield row, judge(row, without.get(row.file.partition(",")[0]))
    if fine_tuned:
        for row in measure(
            model, source, Variant("fine-tuned", CALIBRATION, per_tensor, EPOCHS), images, exact
        ):
            yield row, judge(row, wanted[kind_of(row)])


def main() -> int:
    given = arguments(__doc__, "--data-free", "--per-tensor", "--fine-tuned")
    if not given.json:
        print(f"{HEAD}  floors")
    good = True
    for name in given.models:
        for row, missed in rows(
            name, data_free=given.data_free, per_tensor=given.per_tensor, fine_tuned=given.fine_tuned
        ):
            good = good and not missed
            print(
                json.dumps({**asdict(row), "missed": missed}) if given.json else f"{row}  {said(missed)}",
                flush=True,
            )
    return 0 if good else 1


def said(missed: list[str] | None) -> str:
    """The last column."""
    if missed is None:
        return "none"
    return f"MISSED: {', '.join(missed)}" if missed else "hold"


if __name__ == "__main__":
    sys.exit(main())
