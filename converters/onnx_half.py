"""float32 ONNX graph -> half precision inside, same inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobiledeploy.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

_HALF = "tensor(float16)"


def to_half(model: onnx.ModelProto) -> None:
    """Store weights and compute in half precision, in place.

    Before -> after: ``x: f32 -> Conv(w: f32) -> y: f32`` becomes
    ``x: f32 -> Cast -> Conv(w: f16) -> Cast -> y: f32``.  What the ONNX specification does not
    allow in half precision (the scales of Resize) stays float32.

    Raises:
        UnsupportedError: a finite weight is beyond half precision's largest number, 65504.
    """
    _Conversion(model).run()


class _Conversion:
    """One conversion: the type of every float tensor so far, and the casts made."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import TensorProto

        self.float, self.half = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
        self.graph = model.graph
        self.opset = next(item.version for item in model.opset_import if not item.domain)
        self.outputs = {info.name for info in self.graph.output}
        self.weights = {item.name: item for item in self.graph.initializer if item.data_type == self.float}
        self.stored: dict[str, onnx.TensorProto] = {}
        infos = (*self.graph.input, *self.graph.value_info, *self.graph.output)
        self.types = {
            info.name: self.float for info in infos if info.type.tensor_type.elem_type == self.float
        }
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        for node in self.graph.node:
            self._convert(node)
        for info in self.graph.output:
            if info.name in self.weights:
                self._weight(info.name, self.float)
        others = [item for item in self.graph.initializer if item.name not in self.weights]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend([*others, *self.stored.values()])
        for info in self.graph.value_info:
            if info.name in self.types:
                info.type.tensor_type.elem_type = self.types[info.name]

    def _convert(self, node: onnx.NodeProto) -> None:
        from onnx import defs

        if node.domain or any(attribute.HasField("g") for attribute in node.attribute):
            raise UnsupportedError(
                f"{node.op_type} cannot be converted to half precision",
                where=node.name,
                hint="Convert with --precision fp32",
            )
        schema = defs.get_schema(node.op_type, self.opset)
        for index, name in enumerate(node.input):
            formal = schema.inputs[min(index, len(schema.inputs) - 1)]
            node.input[index] = self._read(name, self.half if _HALF in formal.types else self.float)
        for attribute in node.attribute:
            if (node.op_type, attribute.name) == ("Cast", "to") and attribute.i == self.float:
                attribute.i = self.half
        self.nodes.append(node)
        for index, name in enumerate(node.output):
            formal = schema.outputs[min(index, len(schema.outputs) - 1)]
            if name not in self.types or _HALF not in formal.types:
                continue
            if name in self.outputs:
                node.output[index] = self._variant(name, self.half)
                self._cast(node.output[index], name, self.float)
            self.types[node.output[index]] = self.half

    def _read(self, name: str, wanted: int) -> str:
        """Name under which a node reads a tensor in the wanted type."""
        if name in self.weights:
            return self._weight(name, wanted)
        if self.types.get(name, wanted) == wanted:
            return name
        cast = self._variant(name, wanted)
        if cast not in self.types:
            self._cast(name, cast, wanted)
        return cast

    def _cast(self, source: str, result: str, to: int) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node("Cast", [source], [result], name=f"{result}/Cast", to=to))
        self.types[result] = to

    def _weight(self, name: str, wanted: int) -> str:
        """A weight is stored once for each type that it is read in, almost always only as half."""
        usual = self.float if name in self.outputs else self.half
        stored = name if wanted == usual else self._variant(name, wanted)
        if stored not in self.stored:
            tensor = type(self.weights[name])()
            tensor.CopyFrom(_halve(self.weights[name]) if wanted == self.half else self.weights[name])
            tensor.name = stored
            self.stored[stored] = tensor
        return stored

    def _variant(self, name: str, wanted: int) -> str:
        """Name of the same tensor in the other type; no PyTorch name has a slash."""
        return f"{name}/{'half' if wanted == self.half else 'float'}"


def _halve(tensor: onnx.TensorProto) -> onnx.TensorProto:
    import numpy as np
    from onnx import numpy_helper

    full = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = full.astype(np.float16)
    beyond = np.isinf(half) & np.isfinite(full)
    if beyond.any():
        raise UnsupportedError(
            f"a weight of {full[beyond][0]:g} is beyond half precision, which ends at 65504",
            where=tensor.name,
            hint="Convert with --precision fp32",
        )
    return numpy_helper.from_array(half, tensor.name)
