"""From a PyTorch model to a TFLite, ONNX or Core ML file.

``export`` makes the one program that every target lowers, ``describe`` its contract, ``write`` the
file.  Checking what was written is not done here: see ``mobiledeploy.deploy``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Precision, Target

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram

# A target is one module with ``write(program, contract, precision, path)``.
WRITERS: dict[Target, str] = {
    "tflite": "mobiledeploy.converters.tflite",
    "onnx": "mobiledeploy.converters.to_onnx",
    "coreml": "mobiledeploy.converters.to_coreml",
}


def write(
    target: Target, program: ExportedProgram, contract: Contract, precision: Precision, path: Path
) -> None:
    """Write the program as a file of the target at exactly ``path``.

    Args:
        program: from ``export``; it is not changed.
        contract: from ``describe``; travels inside the file.
        path: where; a folder ending in ``.mlpackage`` for Core ML.

    Raises:
        RefusedError: operations that the target cannot express, all at once.
        UnsupportedError: the model does not fit the target or the precision.
        ModuleNotFoundError: a package of the target is not installed.
        OSError: the file cannot be written.
    """
    import_module(WRITERS[target]).write(program, contract, precision, path)
