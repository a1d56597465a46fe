"""Which engine opens a Core ML file, and the parts of the macOS engine that need no macOS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import Contract, TensorSpec
from mobiledeploy.converters import to_coreml
from mobiledeploy.errors import InputError, RefusedError
from mobiledeploy.runtimes.coreml_session import open_session, to_array, to_image

SHAPE = (1, 3, 6, 5)


class Overflow(nn.Module):
    """Too large for float16 in between, small at both ends."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x * x) * 1e-4


def save(module: nn.Module, path: Path, precision: str) -> Path:
    program = torch.export.export(module.eval(), (torch.zeros(SHAPE),))
    shape = tuple(module(torch.zeros(SHAPE)).shape)
    said = Contract((TensorSpec("x", SHAPE, "float32"),), (TensorSpec("y", shape, "float32"),))
    to_coreml.write(program, said, precision, path)  # type: ignore[arg-type]
    return path


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has Core ML itself")
def test_elsewhere_the_engine_says_that_it_is_no_core_ml(tmp_path: Path) -> None:
    session = open_session(save(nn.ReLU(), tmp_path / "m.mlpackage", "fp32"), threads=1)
    assert session.engine == "reference, not Core ML"


def test_half_precision_overflows_where_storage_does(tmp_path: Path) -> None:
    x = np.full(SHAPE, 300, "float32")
    whole = open_session(save(Overflow(), tmp_path / "a.mlpackage", "fp32"), threads=1).run([x])[0]
    half = open_session(save(Overflow(), tmp_path / "b.mlpackage", "fp16"), threads=1).run([x])[0]
    np.testing.assert_allclose(whole, 9.0, rtol=1e-5)
    assert np.isinf(half).all()


def test_half_precision_rounds_between_operations(tmp_path: Path) -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(x * x + 0.001) * 3

    path = save(Steps(), tmp_path / "m.mlpackage", "fp16")
    x = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")
    half = np.float16
    square = (x.astype(half).astype("float32") ** 2).astype(half)
    total = (square.astype("float32") + np.float32(half(0.001))).astype(half)
    gate = (1 / (1 + np.exp(-total.astype("float64")))).astype(half)
    expected = (gate.astype("float32") * 3).astype(half)
    (found,) = open_session(path, threads=1).run([x])
    assert np.mean(found == expected.astype("float32")) > 0.98


@pytest.mark.parametrize(
    "arrays",
    [[], [np.zeros((1, 3, 6, 6), "float32")], [np.zeros(SHAPE, "float64")], [np.zeros(SHAPE, "float32")] * 2],
)
def test_arrays_that_do_not_fit(arrays: list[np.ndarray], tmp_path: Path) -> None:
    session = open_session(save(nn.ReLU(), tmp_path / "m.mlpackage", "fp32"), threads=1)
    with pytest.raises(InputError):
        session.run(arrays)


def test_operations_that_the_reference_lacks_are_named_at_once(tmp_path: Path) -> None:
    class Bands(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.tril().relu().triu()

    path = save(Bands(), tmp_path / "m.mlpackage", "fp32")
    with pytest.raises(RefusedError) as refused:
        open_session(path)
    assert [row.op for row in refused.value.refusals] == ["band_part", "band_part"]
    assert refused.value.refusals[0].shape == SHAPE


def test_pixels_become_an_image_in_rgb() -> None:
    pixels = np.arange(24, dtype="uint8").reshape(1, 2, 4, 3)
    np.testing.assert_array_equal(np.asarray(to_image(pixels, "RGB")), pixels[0])
    np.testing.assert_array_equal(np.asarray(to_image(pixels, "BGR")), pixels[0, :, :, ::-1])
    np.testing.assert_array_equal(np.asarray(to_image(pixels[..., :1], "L")), pixels[0, :, :, 0])


def test_a_dictionary_becomes_an_array_in_the_labels_order() -> None:
    spec = TensorSpec("probs", (1, 3), "float32")
    np.testing.assert_array_equal(
        to_array({"b": 2.0, "c": 3.0, "a": 1.0}, spec, ("a", "b", "c")), [[1, 2, 3]]
    )
    np.testing.assert_array_equal(to_array({7: 2.0, 5: 1.0, 9: 3.0}, spec, ("5", "7", "9")), [[1, 2, 3]])
    halves = to_array(np.ones((3,), "float16"), spec, ())
    assert (halves.shape, halves.dtype) == ((1, 3), np.float32)
