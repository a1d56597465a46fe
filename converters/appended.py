"""A further step behind a finished program: its graph stays as it is, quantized or not, with its names."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.export.graph_signature import ExportGraphSignature, InputKind
from torch.utils._pytree import tree_map_only

from mobiledeploy.converters.export import export
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

PREFIX = "appended"


def append(program: ExportedProgram, step: torch.nn.Module) -> ExportedProgram:
    """The program with a module behind it that takes its outputs, in their order.

    Given: ``x -> conv -> y`` and ``step(y) = y * w``.  Result: ``x, w -> conv -> mul -> z``.

    Args:
        program: from ``export``, or quantized; it is left as it was.
        step: in eval mode, without parameters.
    """
    outputs = _results(program)
    example = tuple(torch.zeros(node.meta["val"].shape, dtype=node.meta["val"].dtype) for node in outputs)
    tail = export(SourceModel(step, example))
    graph = copy.deepcopy(program.graph)
    for node, original in zip(graph.nodes, program.graph.nodes, strict=True):
        # The signature knows nodes by name, and copying changes some (``input``).
        node.name = original.name
    known = {node.name for node in graph.nodes}
    end = next(node for node in graph.nodes if node.op == "output")
    first = next(iter(graph.nodes))
    values = dict(zip(tail.graph_signature.user_inputs, end.args[0], strict=True))
    specs, state = [], dict(program.state_dict)
    for spec in tail.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            continue
        source = next(node for node in tail.graph.nodes if node.name == spec.arg.name)
        name = f"{PREFIX}.{spec.target}"
        with graph.inserting_before(first):
            stored = graph.placeholder(f"b_{PREFIX}_{source.name}")
        stored.meta = copy.copy(source.meta)
        values[source.name] = stored
        state[name] = {**tail.state_dict, **tail.constants}[spec.target]
        specs.append(replace(spec, arg=replace(spec.arg, name=stored.name), target=name))
    copies: dict[Node, Node] = {
        node: values[node.name] for node in tail.graph.nodes if node.op == "placeholder"
    }
    with graph.inserting_before(end):
        made = graph.graph_copy(tail.graph, copies)
    end.args = (made,)
    signature = program.graph_signature
    results = [
        replace(spec, arg=replace(spec.arg, name=node.name))
        for spec, node in zip(tail.graph_signature.output_specs, made, strict=True)
    ]
    _adopt(program, (node for node in graph.nodes if node.name not in known))
    own = copy.copy(program)
    own._graph_module = torch.fx.GraphModule(program.graph_module, graph)
    own._graph_signature = ExportGraphSignature([*specs, *signature.input_specs], results)
    own._state_dict = state
    root, *inner = program.module_call_graph
    calls = replace(root.signature, out_spec=tail.call_spec.out_spec)
    own._module_call_graph = [replace(root, signature=calls), *inner]
    return own


def _adopt(program: ExportedProgram, nodes: Iterable[Node]) -> None:
    """The shapes that nodes note, in the program's own mode of tracing: the two don't mix."""
    mode = next(
        value.fake_mode for node in program.graph.nodes if hasattr(value := node.meta.get("val"), "fake_mode")
    )
    for node in nodes:
        node.meta["val"] = tree_map_only(
            torch.Tensor,
            lambda value: mode.from_tensor(torch.empty(value.shape, dtype=value.dtype)),
            node.meta.get("val"),
        )


def _results(program: ExportedProgram) -> list[Node]:
    end = next(node for node in program.graph.nodes if node.op == "output")
    return list(end.args[0])
