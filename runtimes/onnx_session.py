"""Run an ONNX file on this host with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs
from mobiledeploy.runtimes.onnx_file import read
from mobiledeploy.runtimes.session import Session, check_inputs

if TYPE_CHECKING:
    import numpy as np

# What goes wrong is raised and said once; the engine's own log would say it again.
_FATAL_ONLY = 4
# As on ARM.  On x86 without it int8 activations become uint8, and AVX2's product of uint8 and int8
# saturates at 16 bits; residual sums and the convolutions before them stay float, too.
_INT8_AS_ON_PHONES = "session.qdqisint8allowed"


def open_session(path: Path, threads: int | None = None) -> Session:
    """Open an ONNX file on the CPU.

    int8 activations stay int8, as they do on ARM.

    Args:
        path: an ``.onnx`` file, its external data beside it if it has any.
        threads: of one inference; None for all cores.

    Raises:
        InputError: the file is damaged, or ONNX Runtime cannot run it.
        EnvironmentProblem: onnx or onnxruntime is not installed.
    """
    with needs("onnx"):
        import onnxruntime

        contents = read(path)
    engine = f"ONNX Runtime {onnxruntime.__version__}"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry(_INT8_AS_ON_PHONES, "1")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"{engine} cannot open it ({_one_line(error)})",
            where=str(path),
            hint="The file is damaged, or needs another version of ONNX Runtime",
        ) from error
    return _OnnxSession(str(path), engine, contents.inputs, contents.outputs, session)


class _OnnxSession:
    def __init__(
        self,
        where: str,
        engine: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        session: Any,
    ) -> None:
        self.engine, self.inputs, self.outputs = engine, inputs, outputs
        self._where, self._session = where, session

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; see ``Session.run``.  Open dimensions (-1) take any size."""
        check_inputs(self.inputs, inputs, self._where)
        feeds = {spec.name: array for spec, array in zip(self.inputs, inputs, strict=True)}
        try:
            outputs: list[np.ndarray] = self._session.run(None, feeds)
        except Exception as error:
            raise InputError(
                f"{self.engine} cannot run it ({_one_line(error)})", where=self._where
            ) from error
        return outputs


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
