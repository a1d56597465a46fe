"""Walk an ``ExportedProgram`` and build a TFLite graph, or the table of everything refused."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Graph as FxGraph
from torch.fx import Node

from mobiledeploy.contract import Contract
from mobiledeploy.converters.nodes import module_path
from mobiledeploy.converters.tflite import layout
from mobiledeploy.converters.tflite.decompose import decompose
from mobiledeploy.converters.tflite.graph import Graph, Tensor
from mobiledeploy.converters.tflite.lowering import CannotLowerError, Lowering, Value, lowerer
from mobiledeploy.converters.tflite.ops import register_all
from mobiledeploy.errors import InputError, Refusal, RefusedError


def lower(program: ExportedProgram, contract: Contract) -> Graph:
    """The program's computation as TFLite operators.

    Args:
        program: static shapes, batch norm folded where it can be.
        contract: names the graph's inputs and outputs.

    Raises:
        RefusedError: with every operation that has no lowering.
    """
    register_all()
    lo = Lowering()
    environment = _bind_inputs(program, lo, contract)
    walk = _Walk(lo)
    outputs = walk.run(program.graph, environment)
    if walk.refusals:
        raise RefusedError(tuple(walk.refusals), where=contract.provenance.model or "model")
    for value, spec in zip(outputs, contract.outputs, strict=True):
        lo.node = spec.name
        tensor = _as_output(lo, value, lo.graph)
        tensor.name = spec.name
        lo.graph.outputs.append(tensor)
    return lo.graph


def _bind_inputs(program: ExportedProgram, lo: Lowering, contract: Contract) -> dict[Node, Any]:
    """Placeholders: user inputs become graph inputs, parameters and buffers become constants."""
    environment: dict[Node, Any] = {}
    specs = iter(contract.inputs)
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind == InputKind.USER_INPUT:
            if not isinstance(node.meta.get("val"), torch.Tensor):
                environment[node] = node.meta.get("val")
                continue
            environment[node] = _input(lo, node, next(specs).name)
        elif spec.target is not None:
            constant = _stored_constant(program, spec.target)
            lo.name_parameter(constant, spec.target)
            environment[node] = constant
    return environment


def _stored_constant(program: ExportedProgram, name: str) -> torch.Tensor:
    found = program.state_dict.get(name, program.constants.get(name))
    if not isinstance(found, torch.Tensor):
        raise InputError(
            f"constant '{name}' is no tensor", where="exported program", hint="Keep weights in parameters"
        )
    return found.detach()


def _input(lo: Lowering, node: Node, name: str) -> Value:
    meta = node.meta["val"]
    shape = tuple(int(size) for size in meta.shape)
    order = layout.image_order(len(shape))
    dtype = {torch.int64: "int32"}.get(meta.dtype, str(meta.dtype).removeprefix("torch."))
    tensor = Tensor(name, layout.physical_shape(shape, order), dtype)
    lo.graph.inputs.append(tensor)
    return Value(tensor, order)


def _as_output(lo: Lowering, operand: Any, graph: Graph) -> Tensor:
    """In the layout of the file's outputs; a tensor that is input, constant or output already is copied."""
    value = lo.value(operand)
    tensor = lo.to_order(value, layout.image_order(value.rank)).tensor
    if tensor in graph.inputs or tensor in graph.outputs or tensor.data is not None:
        shape = lo.integers(tensor.shape)
        tensor = lo.emit("RESHAPE", [tensor, shape], tensor.shape, tensor.dtype, newShape=list(tensor.shape))
    return tensor


class _Walk:
    """Lowers nodes in order and goes on after a refusal, so that all are reported at once."""

    def __init__(self, lo: Lowering) -> None:
        self.lo = lo
        self.refusals: list[Refusal] = []

    def run(self, graph: FxGraph, environment: dict[Node, Any], module: str | None = None) -> list[Any]:
        """Values of the graph's outputs; ``module`` is given for the inside of a decomposed node."""
        for node in graph.nodes:
            if node.op == "call_function":
                self.lo.module = module_path(node) if module is None else module
                environment[node] = self._lower(node, environment)
                if module is None:
                    self.lo.graph.results.update(value.tensor for value in _values(environment[node]))
            elif node.op == "output":
                return [environment[item] if isinstance(item, Node) else item for item in _flat(node.args[0])]
        return []

    def _lower(self, node: Node, environment: dict[Node, Any]) -> Any:
        target = node.target
        arguments = _resolve(node.args, environment)
        keywords = _resolve(node.kwargs, environment)
        if target is operator.getitem:
            return arguments[0][arguments[1]]
        if not isinstance(target, torch._ops.OpOverload):
            return self._function(node, target, arguments, keywords)
        try:
            return self._call(node, target, arguments, keywords)
        except CannotLowerError as refusal:
            self.refusals.append(
                Refusal(
                    node.name,
                    self.lo.module,
                    str(target),
                    _first_shape(arguments),
                    str(refusal),
                    refusal.next_step,
                )
            )
            return _stand_in(self.lo, node.meta.get("val"))

    def _function(self, node: Node, target: Any, arguments: Any, keywords: Any) -> Any:
        """Python arithmetic on sizes, which are numbers here."""
        if callable(target) and not _values((arguments, keywords)):
            return target(*arguments, **keywords)
        name = getattr(target, "__name__", str(target))
        self.refusals.append(
            Refusal(
                node.name, self.lo.module, name, (), "it is no ATen operation", "remove it from forward()"
            )
        )
        return _stand_in(self.lo, node.meta.get("val"))

    def _call(self, node: Node, target: torch._ops.OpOverload, arguments: Any, keywords: Any) -> Any:
        if str(target).startswith("aten._assert") or "sym_constrain" in str(target):
            return None
        function = lowerer(str(target))
        if not _values((arguments, keywords)) and target.namespace == "aten":
            return _compute(target, arguments, keywords)
        lo = self.lo
        lo.node, lo.overload = _node_name(lo.module, node), str(target)
        results = [val for val in _flat(node.meta.get("val")) if isinstance(val, torch.Tensor)]
        lo.result_shapes = tuple(tuple(int(size) for size in val.shape) for val in results)
        if results:
            lo.result_dtype = results[0].dtype
        if function is not None:
            return function(lo, *_positional(target, arguments, keywords))
        inner = decompose(node)
        if inner is None:
            raise CannotLowerError("no TFLite lowering for it")
        graph, tensors = inner
        values = _values((arguments, keywords), constants=True)
        environment = dict(zip([n for n in graph.nodes if n.op == "placeholder"], values, strict=True))
        outputs = self.run(graph, environment, lo.module)
        return outputs[0] if tensors == 1 else tuple(outputs)


def _compute(target: torch._ops.OpOverload, arguments: Any, keywords: Any) -> Any:
    """An operation on constants only, done now."""
    keywords = {key: value for key, value in keywords.items() if key not in {"device", "pin_memory"}}
    with torch.no_grad():
        return target(*arguments, **keywords)


def _positional(target: torch._ops.OpOverload, arguments: Any, keywords: dict[str, Any]) -> list[Any]:
    """Arguments in the schema's order, defaults filled in."""
    missing = target._schema.arguments[len(arguments) :]
    defaults = {item.name: item.default_value for item in missing if item.has_default_value()}
    return [*arguments, *(keywords.get(item.name, defaults.get(item.name)) for item in missing)]


def _resolve(argument: Any, environment: dict[Node, Any]) -> Any:
    if isinstance(argument, Node):
        return environment[argument]
    if isinstance(argument, list | tuple):
        return [_resolve(item, environment) for item in argument]
    if isinstance(argument, dict):
        return {key: _resolve(item, environment) for key, item in argument.items()}
    return argument


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _values(argument: Any, *, constants: bool = False) -> list[Any]:
    """Run-time values inside arguments (with ``constants`` also the constant tensors)."""
    kinds: tuple[type, ...] = (Value, torch.Tensor) if constants else (Value,)
    if isinstance(argument, dict):
        argument = list(argument.values())
    if isinstance(argument, list | tuple):
        return [found for item in argument for found in _values(item, constants=constants)]
    return [argument] if isinstance(argument, kinds) else []


def _first_shape(arguments: Any) -> tuple[int, ...]:
    found = _values(arguments, constants=True)
    return tuple(found[0].shape) if found else ()


def _stand_in(lo: Lowering, meta: Any) -> Any:
    """What a refused node would have given, so that its readers are checked too."""
    if isinstance(meta, list | tuple):
        return tuple(_stand_in(lo, item) for item in meta)
    if not isinstance(meta, torch.Tensor):
        return meta
    shape = tuple(int(size) for size in meta.shape)
    return Value(Tensor("", shape, str(meta.dtype).removeprefix("torch.")), layout.identity(len(shape)))


def _node_name(module: str, node: Node) -> str:
    return f"{module}/{node.name}" if module else node.name
