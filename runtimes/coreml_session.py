"""Run a Core ML file on this host: Core ML itself on macOS, the reference elsewhere."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.coreml_file import tensors
from mobiledeploy.runtimes.coreml_package import load
from mobiledeploy.runtimes.mil_census import labels
from mobiledeploy.runtimes.mil_program import Program
from mobiledeploy.runtimes.mil_reference.session import open_session as open_reference
from mobiledeploy.runtimes.session import Session, check_inputs

if TYPE_CHECKING:
    import numpy as np


def open_session(path: Path, threads: int | None = None) -> Session:
    """Open a Core ML file.

    Args:
        path: an ``.mlpackage`` or ``.mlmodel``.
        threads: CPU threads of the reference; Core ML chooses its own.

    Raises:
        InputError: missing, damaged, or no Core ML file; Core ML cannot load it.
        RefusedError, UnsupportedError: the reference cannot evaluate it.
        EnvironmentProblem: a package that is needed is not installed.
    """
    if sys.platform == "darwin":
        return CoreMLSession(path)
    return open_reference(path, threads)


class CoreMLSession:
    """Runs one file with Core ML through coremltools; see ``Session``."""

    def __init__(self, path: Path) -> None:
        model = load(path)
        self.engine = f"Core ML, macOS {platform.mac_ver()[0]}"
        self.inputs, self.outputs = tensors(model)
        self._path = path
        self._channels = {item.name: item.channels for item in model.inputs if item.kind == "image"}
        self._labels = labels(model.body) if isinstance(model.body, Program) else model.body.labels
        self._model = _load_with_core_ml(path)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; see ``Session.run``."""
        check_inputs(self.inputs, inputs, str(self._path))
        feeds = {
            spec.name: to_image(array, self._channels[spec.name]) if spec.name in self._channels else array
            for spec, array in zip(self.inputs, inputs, strict=True)
        }
        try:
            found = self._model.predict(feeds)
        except RuntimeError as error:
            raise InputError(f"Core ML cannot run it ({error})", where=str(self._path)) from error
        return [to_array(found[spec.name], spec, self._labels) for spec in self.outputs]


def to_image(pixels: np.ndarray, channels: str) -> Any:
    """A Pillow image, as coremltools takes it, from (1, height, width, channels) in the file's order."""
    from PIL import Image

    if channels == "L":
        return Image.fromarray(pixels[0, :, :, 0])
    return Image.fromarray(pixels[0, :, :, ::-1] if channels == "BGR" else pixels[0])


def to_array(value: np.ndarray | Mapping[str, float], spec: TensorSpec, labels: Sequence[str]) -> np.ndarray:
    """An output of Core ML as ``spec`` says; a classifier's dictionary is put in the labels' order."""
    import numpy as np

    if isinstance(value, Mapping):
        # Integer labels are keys as integers.
        by_text = {str(key): number for key, number in value.items()}
        value = np.array([by_text[label] for label in labels])
    return np.asarray(value, spec.dtype).reshape(spec.shape)


def _load_with_core_ml(path: Path) -> Any:
    try:
        import coremltools
    except ImportError as error:
        raise EnvironmentProblem(
            f"coremltools cannot be imported ({error})", hint="pip install 'mobiledeploy[coreml]'"
        ) from error
    try:
        return coremltools.models.MLModel(str(path))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"Core ML cannot load it ({error})", where=str(path)) from error
