"""What an operator's lowering works with: values, constants, emission of TFLite operators.

A lowering is a function ``(lo, *arguments) -> Value | tuple[Value, ...]`` that is registered for
ATen overloads with ``@lowers``; ``arguments`` follow the overload's schema, defaults filled in.
Tensor arguments are ``Value`` (computed at run time) or ``torch.Tensor`` (constant).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.graph import Graph, Operator, Quantization, Tensor
from mobiledeploy.converters.tflite.layout import Axes

# TFLite has no use for 64-bit indices here: every index fits 32 bits.
_STORED_DTYPES = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.float64: "float32",
    torch.int64: "int32",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "bool",
}


class CannotLowerError(Exception):
    """Raised by a lowering that cannot express its arguments; collected, never shown alone."""

    def __init__(self, reason: str, next_step: str = "replace it in the model") -> None:
        super().__init__(reason)
        self.reason, self.next_step = reason, next_step


@dataclass(frozen=True, slots=True)
class Value:
    """A run-time tensor and the logical axis that each of its stored axes holds."""

    tensor: Tensor
    order: Axes

    @property
    def shape(self) -> Axes:
        """Logical shape, as PyTorch sees it."""
        return layout.logical_shape(self.tensor.shape, self.order)

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def dtype(self) -> str:
        return self.tensor.dtype

    def stored_axis(self, axis: int) -> int:
        """Physical place of a logical axis (negative ones count from the end)."""
        return self.order.index(axis % self.rank)

    def stored(self, logical: Sequence[int]) -> Axes:
        """One number per logical axis, brought into physical order."""
        return tuple(logical[axis] for axis in self.order)


Operand = Value | torch.Tensor
Result = Value | tuple[Value, ...]
Lowerer = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., object])

_REGISTRY: dict[str, Lowerer] = {}


def lowers(*overloads: str, namespace: str = "aten") -> Callable[[Function], Function]:
    """Register a lowering for overloads, for example ``"relu.default"``."""

    def register(function: Function) -> Function:
        _REGISTRY.update({f"{namespace}.{name}": function for name in overloads})
        return function

    return register


def lowerer(overload: str) -> Lowerer | None:
    """The lowering registered for ``namespace.name.overload``; None if there is none."""
    return _REGISTRY.get(overload)


def lowerable() -> tuple[str, ...]:
    """Every ATen overload that has a lowering, sorted."""
    return tuple(sorted(_REGISTRY))


class Lowering:
    """Builds a ``Graph``; names new tensors after the node at hand."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.node = ""
        self.module = ""
        self.overload = ""
        self.result_shapes: tuple[Axes, ...] = ()
        self.result_dtype = torch.float32
        self._producers: dict[Tensor, Operator] = {}
        self._transposed: dict[tuple[Tensor, Axes], Tensor] = {}
        self._names: set[str] = set()
        self._parameters: dict[int, str] = {}
        self._quantized: dict[int, Quantization] = {}
        # Keeps the memory of constants made here, whose addresses are keys above.
        self._kept: list[torch.Tensor] = []

    @property
    def result_shape(self) -> Axes:
        """Logical shape that PyTorch gave to the node's only result."""
        return self.result_shapes[0]

    # -- constants ---------------------------------------------------------------------------------

    def name_parameter(self, tensor: torch.Tensor, name: str) -> None:
        """Remember a parameter's path, so that constants made from it are called by it."""
        self._parameters[tensor.untyped_storage().data_ptr()] = name

    def parameter_name(self, tensor: torch.Tensor) -> str:
        """Path of the parameter whose memory this is, empty if it was computed."""
        return self._parameters.get(tensor.untyped_storage().data_ptr(), "")

    def quantized_parameter(
        self, tensor: torch.Tensor, quantization: Quantization, name: str
    ) -> torch.Tensor:
        """Remember how a constant of reals is to be stored; views of it are stored alike."""
        key = tensor.untyped_storage().data_ptr()
        self._quantized[key] = quantization
        self._parameters[key] = name
        self._kept.append(tensor)
        return tensor

    def constant(self, value: torch.Tensor, name: str = "") -> Tensor:
        """A constant tensor, stored in the order it is given in."""
        name = name or self.parameter_name(value) or f"{self.node}/constant"
        quantization = self._quantized.get(value.untyped_storage().data_ptr())
        data = value.detach().to(getattr(torch, _STORED_DTYPES[value.dtype])).contiguous().numpy()
        return Tensor(self._unique(name), tuple(data.shape), data.dtype.name, data, quantization)

    def integers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        """An int32 constant: a shape, axes, paddings."""
        return self.constant(torch.tensor(values, dtype=torch.int32), f"{self.node}/index")

    def value(self, operand: Operand) -> Value:
        """The operand as a value; a constant keeps its own order."""
        if isinstance(operand, Value):
            return operand
        return Value(self.constant(operand), layout.identity(operand.dim()))

    # -- operators ---------------------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        shape: Sequence[int],
        dtype: str,
        **options: Any,
    ) -> Tensor:
        """Append an operator with one output of the given physical shape."""
        return self.emit_many(kind, inputs, [shape], dtype, **options)[0]

    def emit_many(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        shapes: Sequence[Sequence[int]],
        dtype: str,
        **options: Any,
    ) -> list[Tensor]:
        """Append an operator with several outputs of one dtype."""
        outputs = [Tensor(self._unique(self.node), tuple(shape), dtype) for shape in shapes]
        op = Operator(kind, list(inputs), outputs, options, self.module)
        self.graph.operators.append(op)
        self._producers.update(dict.fromkeys(outputs, op))
        return outputs

    def producer(self, value: Value) -> Operator | None:
        """The operator that computes a value; None for an input or a constant."""
        return self._producers.get(value.tensor)

    def map(self, kind: str, value: Value, dtype: str = "", **options: Any) -> Value:
        """An operator of one input that keeps shape and order."""
        out = self.emit(kind, [value.tensor], value.tensor.shape, dtype or value.dtype, **options)
        return Value(out, value.order)

    def to_order(self, value: Value, order: Axes) -> Value:
        """The value stored in another order: nothing, a RESHAPE, or a TRANSPOSE made once."""
        if value.order == order:
            return value
        shape = layout.physical_shape(value.shape, order)
        if layout.same_memory(value.shape, value.order, order):
            return Value(self.reshape_stored(value.tensor, shape), order)
        permutation = tuple(value.order.index(axis) for axis in order)
        key = (value.tensor, permutation)
        if key not in self._transposed:
            self._transposed[key] = self._transpose(value.tensor, permutation, shape)
        return Value(self._transposed[key], order)

    def contiguous(self, operand: Operand) -> Value:
        """The operand stored in PyTorch's own order."""
        value = self.value(operand)
        return self.to_order(value, layout.identity(value.rank))

    def channels_last(self, value: Value) -> Value:
        """A four-axis value stored as NHWC."""
        return self.to_order(value, layout.NHWC)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The value with another logical shape, moved in memory only where it must be."""
        if tuple(shape) == value.shape:
            return value
        plan = layout.plan_reshape(value.shape, value.order, shape)
        tensor = self.to_order(value, plan.before).tensor
        return Value(self.reshape_stored(tensor, layout.physical_shape(shape, plan.after)), plan.after)

    def permute(self, value: Value, dims: Sequence[int]) -> Value:
        """The value with its logical axes renamed; writes nothing."""
        return Value(value.tensor, layout.permute_order(value.order, [d % value.rank for d in dims]))

    def reshape_stored(self, tensor: Tensor, shape: Axes) -> Tensor:
        """The same bytes under another physical shape: nothing, or one RESHAPE for a chain of them."""
        if tensor.shape == shape:
            return tensor
        origin = self._producers.get(tensor)
        if origin is not None and origin.kind == "RESHAPE":
            source = origin.inputs[0]
            if source is not None:
                return self.reshape_stored(source, shape)
        return self.emit("RESHAPE", [tensor, self.integers(shape)], shape, tensor.dtype, newShape=list(shape))

    def _transpose(self, tensor: Tensor, permutation: Axes, shape: Axes) -> Tensor:
        """TRANSPOSE over as few axes as describe it: runtimes are fast up to four, and stop at six."""
        if len(permutation) <= 4:
            return self.emit("TRANSPOSE", [tensor, self.integers(permutation)], shape, tensor.dtype)
        runs = _runs(tensor.shape, permutation)
        ordered = sorted(runs)
        merged = [_size(tensor.shape, run) for run in ordered]
        source = self.reshape_stored(tensor, tuple(merged))
        axes = [ordered.index(run) for run in runs]
        moved = tuple(merged[axis] for axis in axes)
        out = self.emit("TRANSPOSE", [source, self.integers(axes)], moved, tensor.dtype)
        return self.reshape_stored(out, shape)

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            candidate, count = f"{name}_{count}", count + 1
        self._names.add(candidate)
        return candidate


def _runs(shape: Axes, permutation: Axes) -> list[list[int]]:
    """Source axes that stay neighbours, in the order of the result; axes of size 1 are dropped."""
    kept = [axis for axis in range(len(shape)) if shape[axis] != 1]
    runs: list[list[int]] = []
    for axis in (axis for axis in permutation if shape[axis] != 1):
        if runs and kept.index(axis) == kept.index(runs[-1][-1]) + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def _size(shape: Axes, axes: Sequence[int]) -> int:
    size = 1
    for axis in axes:
        size *= shape[axis]
    return size
