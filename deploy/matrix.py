"""Which packages and versions mobiledeploy is tested with, and which do not go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mobiledeploy.contract import Target

Need = Literal["base", "torch", "tflite", "onnx", "coreml", "lab", "fallback"]


@dataclass(frozen=True, slots=True)
class Package:
    """One package that is used.

    Attributes:
        name: distribution, as pip calls it.
        module: what is imported from it; for coremltools the native part, without which no
            package can be written.
        least: lowest version that works, inclusive.
        below: first version that is not tested, exclusive; empty if there is no such limit.
        extras: extras that bring it; ``base`` is always there, ``fallback`` is never asked for.
    """

    name: str
    module: str
    least: str
    below: str
    extras: tuple[Need, ...]

    @property
    def tested(self) -> str:
        """The range for people."""
        return f"{self.least} or later" + (f", below {self.below}" if self.below else "")


PACKAGES = (
    Package("numpy", "numpy", "1.26", "", ("base",)),
    Package("pillow", "PIL.Image", "10.2", "", ("base",)),
    Package("pydantic", "pydantic", "2.12", "", ("base",)),
    Package("rich", "rich", "13.7", "", ("base",)),
    Package("typer", "typer", "0.19.2", "", ("base",)),
    Package("torch", "torch", "2.9", "2.14", ("torch",)),
    Package("torchao", "torchao", "0.16", "0.19", ("torch",)),
    Package("safetensors", "safetensors", "0.4.3", "", ("torch",)),
    Package("ai-edge-litert", "ai_edge_litert.interpreter", "2.1", "", ("tflite",)),
    Package("flatbuffers", "flatbuffers", "24.3", "", ("tflite",)),
    Package("onnx", "onnx", "1.19", "", ("onnx", "coreml")),
    Package("onnxscript", "onnxscript", "0.5.6", "", ("onnx",)),
    Package("onnxruntime", "onnxruntime", "1.22", "", ("onnx", "coreml")),
    Package("coremltools", "coremltools.libmilstoragepython", "9.0", "10", ("coreml",)),
    Package("distributed", "distributed", "2026.8", "", ("lab",)),
    Package("tflite-runtime", "tflite_runtime.interpreter", "2.13", "", ("fallback",)),
)

# What runs a file on this host, beside the base; a target is run by any one of its groups.
ENGINES: dict[Target, tuple[tuple[str, ...], ...]] = {
    "tflite": (("ai-edge-litert",), ("tflite-runtime",)),
    "onnx": (("onnxruntime",),),
    "coreml": (("coremltools", "onnx", "onnxruntime"),),
}


@dataclass(frozen=True, slots=True)
class Clash:
    """Two packages that do not go together.

    Attributes:
        first, second: distributions; a clash if both are installed.
        second_least: and the second is at least this version; empty for any.
        reason: why.
        advice: what to do.
    """

    first: str
    second: str
    second_least: str
    reason: str
    advice: str


CLASHES = (
    Clash(
        "tflite-runtime",
        "numpy",
        "2",
        "tflite_runtime is compiled for NumPy 1",
        "pip uninstall tflite-runtime && pip install ai-edge-litert, or pip install 'numpy<2'",
    ),
    Clash(
        "onnxruntime",
        "onnxruntime-gpu",
        "",
        "both install the same module, and the later one overwrites parts of the other",
        "pip uninstall onnxruntime onnxruntime-gpu, then install one of them",
    ),
)


def as_numbers(version: str) -> tuple[int, ...]:
    """``2.13.0+cpu`` -> (2, 13, 0): the release numbers, for comparing."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = part[: next((i for i, letter in enumerate(part) if not letter.isdigit()), len(part))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
