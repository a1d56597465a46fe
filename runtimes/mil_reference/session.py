"""A Core ML file opened with the reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.runtimes.coreml_file import tensors
from mobiledeploy.runtimes.coreml_package import load
from mobiledeploy.runtimes.mil_program import Program
from mobiledeploy.runtimes.session import Session, check_inputs

if TYPE_CHECKING:
    import numpy as np

ENGINE = "reference, not Core ML"


def open_session(path: Path, threads: int | None = None) -> Session:
    """Open an ML Program with the reference evaluation.

    The program is read from the file's own bytes, translated operation by operation and computed by
    ONNX Runtime in float32, float16 values being rounded to float16 after each operation.  An image
    input takes uint8 (1, height, width, channels) in the file's channel order.

    Args:
        path: an ``.mlpackage`` or ``.mlmodel``.
        threads: CPU threads; None for all cores that this process may use.

    Raises:
        InputError: missing, damaged, or no Core ML file.
        RefusedError: operations that the reference does not know, all of them.
        UnsupportedError: no ML Program, or flexible shapes.
        EnvironmentProblem: onnx or onnxruntime is not installed.
    """
    model = load(path)
    if not isinstance(model.body, Program):
        raise UnsupportedError(
            "an older neural network is not evaluated",
            where=str(path),
            hint="Convert it to an ML Program, or run it on macOS",
        )
    inputs, outputs = tensors(model)
    _refuse_flexible(inputs, path)
    sources = _sources(model.body, outputs, model.probabilities)
    engine = _engine(path, model.body, inputs, sources, threads)
    return ReferenceSession(path, inputs, outputs, engine)


class ReferenceSession:
    """Runs one file; see ``Session``."""

    engine = ENGINE

    def __init__(
        self, path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], engine: Any
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._path, self._engine = path, engine

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; see ``Session.run``."""
        check_inputs(self.inputs, inputs, str(self._path))
        feeds = {f"input_{index}": array for index, array in enumerate(inputs)}
        return list(self._engine.run(None, feeds))


def _refuse_flexible(inputs: Sequence[TensorSpec], path: Path) -> None:
    for spec in inputs:
        if not spec.shape or min(spec.shape) < 1:
            raise UnsupportedError(
                f"input {spec.name!r} has no fixed shape",
                where=str(path),
                hint="Convert it with a fixed shape",
            )


def _engine(
    path: Path,
    program: Program,
    inputs: tuple[TensorSpec, ...],
    outputs: list[tuple[str, TensorSpec]],
    threads: int | None,
) -> Any:
    try:
        import onnxruntime

        from mobiledeploy.runtimes.mil_reference.translate import to_onnx

        onnx_model = to_onnx(program, inputs, outputs, str(path))
    except ImportError as error:
        raise EnvironmentProblem(
            f"the reference needs onnx and onnxruntime ({error})", hint="pip install 'mobiledeploy[coreml]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or usable_cores()
    # Quantized programs are a float computation with rounding here, not integer kernels.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(
            onnx_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime's own errors share no base class.
    except Exception as error:
        text = " ".join(str(error).split())
        raise InputError(
            f"the program does not fit together ({text[:300]})",
            where=str(path),
            hint="The file is damaged, or the reference has a defect",
        ) from error


def _sources(
    program: Program, outputs: tuple[TensorSpec, ...], probabilities: str
) -> list[tuple[str, TensorSpec]]:
    """The MIL value behind each output; a classifier's dictionary holds what ``classify`` was given."""
    given = next((op.inputs["probabilities"][0] for op in program.operations if op.kind == "classify"), "")
    return [(str(given) if spec.name == probabilities else spec.name, spec) for spec in outputs]


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
