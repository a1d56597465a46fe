from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy.quantize import Recipe, diagnose

Inputs = tuple[torch.Tensor, ...]
Export = Callable[..., ExportedProgram]
PLAIN = Recipe(ranges="minmax", rounding="nearest", equalisation=False, bias_correction="none")


def test_the_layer_that_was_spoilt_is_named(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    # One weight per channel takes all the codes; it meets a channel of the input that is always 0.
    images = [(x * torch.tensor([1.0, 1, 0]).reshape(1, 3, 1, 1),) for (x,) in images]
    small.stem[0].weight.data[:, 2] = 10
    found = diagnose(to_program(small), images, PLAIN)
    worst = min(found.layers, key=lambda row: row.isolated)
    assert worst.module == "stem.0"
    assert worst.weights_only < worst.activations_only
    assert "stem.0" in found.verdict
    assert "weights" in found.verdict
    assert worst.isolated == pytest.approx(found.total, abs=3)


def test_rows_are_the_layers_and_whatever_has_a_range(
    small: nn.Module, images: list[Inputs], to_program: Export
) -> None:
    found = diagnose(to_program(small), images, Recipe(float_output=True))
    operations = [row.operation for row in found.layers]
    assert operations[0] == "input"
    assert "aten.add.Tensor" in operations
    paths = [row.module for row in found.layers if "conv2d" in row.operation]
    assert paths == ["stem.0", "expand.0", "depthwise.0", "project.0"]
    assert found.layers[-1].module == "classifier"
    assert math.isinf(found.layers[-1].activations_only)
    assert found.layers[-1].cumulative == pytest.approx(found.total)
    without_weights = [row for row in found.layers if row.operation in {"input", "aten.add.Tensor"}]
    assert all(math.isinf(row.weights_only) for row in without_weights)
