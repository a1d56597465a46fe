"""What is done to a model on its way to int8, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from mobiledeploy.errors import InputError
from mobiledeploy.settings_text import check_words, read_object, refuse_unknown, wrong

Activations = Literal["int8", "int16", "float"]
Granularity = Literal["per-channel", "per-tensor"]
RangeMethod = Literal["minmax", "percentile", "entropy", "mse"]
BiasCorrection = Literal["none", "empirical", "analytic"]
Rounding = Literal["nearest", "adaptive"]
Equalisation = Literal["on", "off", "auto"]
_WHERE, _HINT = "recipe", "Correct the recipe"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a float program becomes int8; the default is the best one measured on the zoo.

    Attributes:
        activations: ``int8``, ``int16`` (with int8 weights), or ``float``: only weights become int8, and
            whether layers compute in reals or quantize their inputs as they run is the target's affair.
        weights: one scale per output channel, or one per tensor for accelerators without the former.
        ranges: how an activation's range follows from its calibration values.
        percentile: share of the values that the ``percentile`` method keeps, percent.
        equalisation: even out channels across neighbouring layers first: ``on``, ``off``, or ``auto``: what
            calibration inputs say is better (see ``equalisation_choice``).
        absorption: move what a channel always has into the biases of its readers.
        bias_correction: give back the mean that rounding takes: ``empirical``, measured on calibration
            inputs, or ``analytic``, from batch norm statistics.
        rounding: of weights: each to its ``nearest`` code, or ``adaptive``: chosen together so that the
            layers' outputs on calibration inputs change least.
        fine_tuning: epochs over the calibration inputs in which weights and biases learn, while the graph
            rounds as the int8 model does, to give the float model's outputs; 0: none.
        learning_rate: of fine-tuning, in steps of the weights' codes; it falls to 0.
        batch: inputs from which fine-tuning takes one step.
        exempt: module paths of layers that stay float.
        float_output: the model's last layer has an int8 input and int8 weights, and a float result.
        ranked_output: the outputs are scores of which only the highest matter: an int8 output starts
            at 0, so that its steps are finer; lower scores saturate.  None, where nothing is said:
            conversion does so for classifiers, and ``quantize``, which knows no task, does not.
    """

    activations: Activations = "int8"
    weights: Granularity = "per-channel"
    ranges: RangeMethod = "mse"
    percentile: float = 99.99
    equalisation: Equalisation = "auto"
    absorption: bool = False
    bias_correction: BiasCorrection = "empirical"
    rounding: Rounding = "adaptive"
    fine_tuning: int = 0
    learning_rate: float = 0.01
    batch: int = 8
    exempt: tuple[str, ...] = ()
    float_output: bool = False
    ranked_output: bool | None = None

    def __post_init__(self) -> None:
        """Refuse values that no step understands.

        Raises:
            InputError: names the field and what it may be.
        """
        check_words(self, _WHERE, _HINT)
        if not _is_number(self.percentile) or not 50 < self.percentile <= 100:
            raise _wrong("percentile", self.percentile, "above 50, up to 100")
        if not _is_number(self.learning_rate) or not 0 < self.learning_rate <= 1:
            raise _wrong("learning_rate", self.learning_rate, "above 0, up to 1")
        for name, least in (("fine_tuning", 0), ("batch", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise _wrong(name, value, f"a whole number from {least}")
        if not isinstance(self.exempt, tuple) or not all(isinstance(path, str) for path in self.exempt):
            raise _wrong("exempt", self.exempt, "a list of module paths")

    @property
    def needs_inputs(self) -> bool:
        """Whether a step looks at calibration inputs."""
        measured = self.equalisation != "off" or self.absorption or self.rounding == "adaptive"
        measured = measured or self.fine_tuning > 0
        return self.activations != "float" or measured or self.bias_correction == "empirical"

    def without_inputs(self) -> Recipe:
        """The steps that need no inputs, for a model whose activations stay float."""
        return replace(
            self,
            equalisation="off",
            absorption=False,
            rounding="nearest",
            bias_correction="analytic",
            fine_tuning=0,
        )

    def to_json(self) -> str:
        """One line of JSON with sorted keys; equal recipes give equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what ``to_json`` wrote; fields left out have their defaults.

        Raises:
            InputError: no JSON object, an unknown field, or a value that no step understands.
        """
        data = read_object(text, _WHERE)
        refuse_unknown(data, cls, _WHERE)
        if isinstance(data.get("equalisation"), bool):
            # Recipes of files from before there was a choice.
            data["equalisation"] = "on" if data["equalisation"] else "off"
        if isinstance(data.get("exempt"), list):
            data["exempt"] = tuple(data["exempt"])
        return cls(**data)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(name: str, value: object, allowed: str) -> InputError:
    return wrong(name, value, allowed, _WHERE, _HINT)
