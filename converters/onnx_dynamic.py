"""Layers with int8 weights in a graph of reals, computed in integers on inputs quantized as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobiledeploy.contract import UNSIGNED_SHIFT

if TYPE_CHECKING:
    import numpy as np
    import onnx


def to_dynamic(model: onnx.ModelProto) -> None:
    """Give Conv and Gemm their int8 weights without dequantizing them, in place.

    Before: ``Conv(x, DequantizeLinear(w int8, s), b)``.
    After: ``DynamicQuantizeLinear(x) -> ConvInteger(., w uint8) -> Cast -> Mul(x's scale * s) -> Add(b)``,
    and MatMulInteger for Gemm.  Weights become uint8 around 128: x86 without VNNI adds up products of
    uint8 and int8 in 16 bits, which saturate, and products of two uint8 in 32.
    """
    _Rewrite(model.graph).run()


class _Rewrite:
    """One graph being rewritten: its constants, and the inputs that are quantized already."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.weights = {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in self.constants
        }
        self.names = {node.name for node in graph.node}
        self.middle = ""
        self.quantized: dict[str, tuple[str, str, str]] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        for node in self.graph.node:
            if node.op_type in {"Conv", "Gemm"} and node.input[1] in self.weights:
                self._rewrite(node)
            else:
                self.nodes.append(node)
        read = {name for node in self.nodes for name in node.input}
        kept = [node for node in self.nodes if node.output[0] not in self.weights or node.output[0] in read]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def _rewrite(self, node: onnx.NodeProto) -> None:
        source = self.weights[node.input[1]]
        codes, scales = (self.constants[name] for name in source.input[:2])
        codes = (codes.astype("int16") + UNSIGNED_SHIFT).astype("uint8")
        data, data_scale, data_zero = self._quantize(node.input[0])
        result = node.output[0]
        along = (1, -1) + (1,) * (codes.ndim - 2)
        sums = f"{result}_sums"
        if node.op_type == "Conv":
            weights = self._constant(f"{result}_weights", codes)
            self._add("ConvInteger", [data, weights, data_zero, self._middle()], sums, node)
            self.nodes[-1].attribute.extend(node.attribute)
        else:
            # torch.onnx writes Gemm with the weights transposed: (outputs, inputs).
            weights = self._constant(f"{result}_weights", codes.T.copy())
            self._add("MatMulInteger", [data, weights, data_zero, self._middle()], sums, node)
        reals, factor, product = f"{result}_real", f"{result}_factor", f"{result}_product"
        self._add("Cast", [sums], reals, node)
        steps = self._constant(f"{result}_steps", scales.reshape(along))
        self._add("Mul", [data_scale, steps], factor, node)
        bias = self.constants[node.input[2]] if len(node.input) > 2 else None
        self._add("Mul", [reals, factor], product if bias is not None else result, node)
        if bias is not None:
            offsets = self._constant(f"{result}_offsets", bias.reshape(along))
            self._add("Add", [product, offsets], result, node)

    def _quantize(self, name: str) -> tuple[str, str, str]:
        """Names of the codes, scale and zero point of a tensor; readers share them."""
        from onnx import helper

        if name not in self.quantized:
            names = (f"{name}_codes", f"{name}_scale", f"{name}_zero_point")
            self.nodes.append(
                helper.make_node("DynamicQuantizeLinear", [name], names, name=f"{name}/DynamicQuantizeLinear")
            )
            self.quantized[name] = names
        return self.quantized[name]

    def _middle(self) -> str:
        """Name of the weights' zero point; layers share it."""
        import numpy as np

        self.middle = self.middle or self._constant("weight_zero_point", np.array(UNSIGNED_SHIFT, np.uint8))
        return self.middle

    def _free(self, wanted: str) -> str:
        """The name, with a number if another node has it: ONNX Runtime opens no file with two alike."""
        name, number = wanted, 1
        while name in self.names:
            number += 1
            name = f"{wanted}_{number}"
        self.names.add(name)
        return name

    def _constant(self, name: str, values: np.ndarray) -> str:
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _add(self, kind: str, inputs: list[str], output: str, node: onnx.NodeProto) -> None:
        from onnx import TensorProto, helper

        name = f"{node.name.rpartition('/')[0]}/{kind}".lstrip("/")
        made = helper.make_node(kind, inputs, [output], name=self._free(name))
        if kind == "Cast":
            made.attribute.append(helper.make_attribute("to", int(TensorProto.FLOAT)))
        self.nodes.append(made)
