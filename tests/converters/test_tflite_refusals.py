"""What TFLite cannot express is refused at once, with where it is and what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mobiledeploy.errors import RefusedError, UnsupportedError


class Block(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(torch.special.erfinv(x), 3, dilation=2)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.block = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svd(self.block(self.stem(x)))[1]


def test_every_refusal_is_listed_with_module_op_shape_reason_and_next_step(to_tflite: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        to_tflite(Net(), torch.randn(1, 3, 9, 9))
    refusals = {refusal.op.split(".")[1]: refusal for refusal in caught.value.refusals}
    assert list(refusals) == ["erfinv", "max_pool2d", "_linalg_svd"]
    pool = refusals["max_pool2d"]
    assert (pool.module, pool.shape) == ("block", (1, 4, 9, 9))
    assert "dilated" in pool.reason
    assert pool.next_step
    assert "3 operations" in str(caught.value)


def test_data_dependent_control_flow(to_tflite: Any) -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(UnsupportedError, match=r"torch\.export cannot trace it"):
        to_tflite(Branch(), torch.randn(1, 3))


def test_training_mode_is_refused() -> None:
    from mobiledeploy.converters.export import export
    from mobiledeploy.source import SourceModel

    with pytest.raises(UnsupportedError, match="training mode"):
        export(SourceModel(nn.Dropout().train(), (torch.randn(1, 3),)))


def test_weights_that_overflow_half_precision(to_tflite: Any) -> None:
    layer = nn.Conv2d(3, 4, 1)
    nn.init.constant_(layer.weight, 1e5)
    with pytest.raises(UnsupportedError, match=r"weight: its largest value 1e\+05 does not fit float16"):
        to_tflite(layer, torch.randn(1, 3, 4, 4), precision="fp16")
