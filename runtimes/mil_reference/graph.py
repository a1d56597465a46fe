"""The ONNX graph under construction, and one MIL operation as a lowering sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mobiledeploy.runtimes.mil_program import Constant, Operation, Program, Type

if TYPE_CHECKING:
    import numpy as np
    import onnx

# An operation's translation: ONNX names of its outputs.
Lowering = Callable[["Call"], str | list[str]]

OPSET = 20
# A version that every ONNX Runtime since 1.18 loads.
IR_VERSION = 10

# What a MIL value is computed in.  Half precision is computed in float32 and rounded after each operation.
COMPUTED_AS = {
    "float16": "float32",
    "float64": "float32",
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int32",
    "int64": "int32",
    "int4": "int8",
    "uint4": "uint8",
    "uint6": "uint8",
    "uint3": "uint8",
    "uint2": "uint8",
    "uint1": "uint8",
}


class UntranslatableError(Exception):
    """This use of an operation has no translation; the text says why."""


class Graph:
    """Nodes and constants of the ONNX graph, and what each MIL value is called in it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.folded: dict[str, np.ndarray] = {}
        self._names: dict[str, str] = {}

    def emit(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; its name."""
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Add a node with ``count`` outputs; their names."""
        from onnx import helper

        outputs = [f"{len(self.nodes)}:{index}" for index in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    def constant(self, values: Any, dtype: str = "") -> str:
        """Add a constant; its name.  ``values`` is anything NumPy takes."""
        import numpy as np
        from onnx import numpy_helper

        array = np.ascontiguousarray(np.asarray(values, dtype or None)).reshape(np.shape(values))
        name = f"constant:{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, values: Sequence[int]) -> str:
        """Add a vector of int64, as ONNX wants sizes and axes."""
        return self.constant(list(values), "int64")

    def cast(self, name: str, dtype: str) -> str:
        """Convert to a NumPy dtype."""
        import numpy as np
        from onnx import helper

        return self.emit("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def round_to_half(self, name: str) -> str:
        """Keep what float16 storage keeps: too large becomes infinite."""
        return self.cast(self.cast(name, "float16"), "float32")

    def bind(self, value: str, name: str) -> None:
        """From here on the MIL value is the ONNX value ``name``."""
        self._names[value] = name

    def name(self, value: str) -> str:
        """ONNX name of a MIL value; constants are added when first used.

        Raises:
            KeyError: nothing made that value before.
        """
        if value not in self._names:
            array = self.known(value)
            if array is None:
                raise KeyError(value)
            self._names[value] = self.constant(array)
        return self._names[value]

    def known(self, value: str) -> np.ndarray | None:
        """A MIL value's elements where they are in the file, else None."""
        if value in self.folded:
            return self.folded[value]
        constant = self.program.constants.get(value)
        return None if constant is None else _computed(constant)

    def type(self, value: str) -> Type:
        """The type that the file declares for a MIL value."""
        return self.program.types[value]


def _computed(constant: Constant) -> np.ndarray:
    array = constant.array
    return array.astype(COMPUTED_AS.get(array.dtype.name, array.dtype.name))


class Call:
    """One MIL operation: its arguments by parameter name, and the graph to add to."""

    def __init__(self, op: Operation, graph: Graph) -> None:
        self.op, self.graph = op, graph

    @property
    def output(self) -> Type:
        """Declared type of the first output."""
        return self.op.outputs[0][1]

    def has(self, parameter: str) -> bool:
        """Whether an optional argument is given."""
        return parameter in self.op.inputs or parameter in self.op.attributes

    def x(self, parameter: str = "x") -> str:
        """ONNX name of an argument."""
        bound = self._one(parameter)
        return (
            self.graph.constant(_computed(bound)) if isinstance(bound, Constant) else self.graph.name(bound)
        )

    def all(self, parameter: str = "values") -> list[str]:
        """ONNX names of an argument that is a tuple."""
        return [
            self.graph.constant(_computed(bound)) if isinstance(bound, Constant) else self.graph.name(bound)
            for bound in self.op.inputs[parameter]
        ]

    def type(self, parameter: str = "x") -> Type:
        """Declared type of an argument."""
        bound = self._one(parameter)
        return bound.type if isinstance(bound, Constant) else self.graph.type(bound)

    def shape(self, parameter: str = "x") -> tuple[int, ...]:
        """Declared shape of an argument."""
        return self.type(parameter).shape

    def is_float(self, parameter: str = "x") -> bool:
        """Whether an argument is of a floating-point type."""
        return self.type(parameter).dtype.startswith("float")

    def constant(self, parameter: str) -> Constant:
        """An argument as the file stores it.

        Raises:
            UntranslatableError: it is computed.
        """
        bound = self._one(parameter)
        value = self.graph.program.constants.get(bound) if isinstance(bound, str) else bound
        if value is None:
            raise UntranslatableError(f"{parameter} is computed, not constant")
        return value

    def array(self, parameter: str) -> np.ndarray:
        """Elements of an argument that has to be constant.

        Raises:
            UntranslatableError: it is computed.
        """
        bound = self._one(parameter)
        known = _computed(bound) if isinstance(bound, Constant) else self.graph.known(bound)
        if known is None:
            raise UntranslatableError(f"{parameter} is computed, not constant")
        return known

    def ints(self, parameter: str, default: Sequence[int] | None = None) -> list[int]:
        """A constant vector of integers."""
        if default is not None and not self.has(parameter):
            return list(default)
        return [int(item) for item in self.array(parameter).reshape(-1)]

    def whole(self, parameter: str, default: int | None = None) -> int:
        """A constant integer."""
        if default is not None and not self.has(parameter):
            return default
        return int(self.array(parameter).reshape(-1)[0])

    def real(self, parameter: str, default: float | None = None) -> float:
        """A constant number."""
        if default is not None and not self.has(parameter):
            return default
        return float(self.array(parameter).reshape(-1)[0])

    def flag(self, parameter: str, default: bool = False) -> bool:
        """A constant truth value."""
        return bool(self.array(parameter).reshape(-1)[0]) if self.has(parameter) else default

    def text(self, parameter: str, default: str = "") -> str:
        """A constant string."""
        return self.constant(parameter).texts[0] if self.has(parameter) else default

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; its name."""
        return self.graph.emit(kind, inputs, **attributes)

    def scalar(self, value: float) -> str:
        """Add a float32 scalar."""
        return self.graph.constant(value, "float32")

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """Reshape to a static shape."""
        return self.emit("Reshape", name, self.graph.ints(shape))

    def _one(self, parameter: str) -> str | Constant:
        if parameter in self.op.attributes:
            return self.op.attributes[parameter]
        (bound,) = self.op.inputs[parameter]
        return bound
