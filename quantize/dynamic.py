"""Dynamic-range kernels in PyTorch: layers with int8 weights that quantize their inputs as they run."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mobiledeploy.quantize.graph import LAYERS
from mobiledeploy.quantize.observers import WEIGHT_LIMIT


def dynamic(program: torch.nn.Module) -> torch.nn.Module:
    """A quantized program's module that rounds the input of each int8 layer by its own largest value.

    Symmetric, as TFLite's kernels have it; ONNX's are asymmetric and somewhat closer to reals.
    """
    if not isinstance(program, GraphModule):
        raise TypeError("not the module of an exported program")
    return _Dynamic(program)


class _Dynamic(torch.nn.Module):
    def __init__(self, module: GraphModule) -> None:
        super().__init__()
        self._module = module

    def forward(self, *inputs: torch.Tensor) -> Any:
        """As the program's."""
        return _Rounding(self._module).run(*inputs)


class _Rounding(Interpreter):
    def run_node(self, n: Node) -> Any:
        if str(n.target) not in LAYERS or "dequantize" not in str(n.all_input_nodes[1].target):
            return super().run_node(n)
        (data, *others), options = self.fetch_args_kwargs_from_env(n)
        scale = data.abs().amax().clamp(min=1e-12) / WEIGHT_LIMIT
        function: Any = n.target
        return function((data / scale).round() * scale, *others, **options)
