"""Convert a small module to TFLite and run it beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.runtimes.tflite_file import read
from mobiledeploy.runtimes.tflite_session import open_session
from mobiledeploy.source import SourceModel


@dataclass(frozen=True)
class Converted:
    """Operators of the file and the largest difference relative to the largest output."""

    kinds: list[str]
    error: float
    path: Path


ToTflite = Callable[..., Converted]


@pytest.fixture
def to_tflite(tmp_path: Path) -> ToTflite:
    def convert(module: torch.nn.Module, *inputs: torch.Tensor, precision: str = "fp32") -> Converted:
        source = SourceModel(module.eval(), inputs)
        program = export(source)
        path = tmp_path / "model.tflite"
        write("tflite", program, describe(source, program, "tflite"), precision, path)
        with torch.no_grad():
            expected = module(*inputs)
        session = open_session(path, threads=1)
        feeds = [stored(x).astype(spec.dtype) for x, spec in zip(inputs, session.inputs, strict=True)]
        results = session.run(feeds)
        pairs = [(stored(x), got) for x, got in zip(tree_leaves(expected), results, strict=True)]
        assert all(want.shape == got.shape for want, got in pairs)
        error = max(difference(want, got) for want, got in pairs)
        return Converted([op.kind for op in read(path).ops], error, path)

    return convert


def stored(x: torch.Tensor) -> np.ndarray:
    """The array as the file lays it out: NHWC for four axes."""
    array = x.detach().numpy()
    return (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).copy()


def difference(want: np.ndarray, got: np.ndarray) -> float:
    if want.dtype == bool or np.issubdtype(want.dtype, np.integer):
        return float((want != got).sum())
    scale = max(float(np.abs(want).max()), 1e-6)
    return float(np.abs(want - got).max()) / scale
