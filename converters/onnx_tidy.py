"""A translated ONNX graph without what only its translator needs."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mobiledeploy.converters.onnx_pads import pad_in_convolutions

if TYPE_CHECKING:
    import onnx

_SCOPES = "pkg.torch.onnx.name_scopes"


def tidy(model: onnx.ModelProto, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name, simplify and strip the graph in place.

    Before -> after: inputs and outputs get the given names; nodes are named
    ``features.1.conv.0/Conv`` by their PyTorch module; Constant nodes become initializers; a mean
    over height and width becomes GlobalAveragePool; padding in front of a convolution becomes the
    convolution's own; constants that no node reads are dropped, and
    so are stack traces, source paths and the exporter's notes.
    """
    graph = model.graph
    _lift_constants(graph)
    _pool_means(graph)
    pad_in_convolutions(graph)
    drop_unused(graph)
    _name_nodes(graph)
    _name_tensors(graph, inputs, outputs)
    _strip(model)


def _lift_constants(graph: onnx.GraphProto) -> None:
    """``Constant -> op`` => ``op`` with an initializer."""
    outputs = {tensor.name for tensor in graph.output}
    for node in list(graph.node):
        if node.op_type != "Constant" or node.attribute[0].name != "value" or node.output[0] in outputs:
            continue
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def _pool_means(graph: onnx.GraphProto) -> None:
    """``ReduceMean(NCHW, axes H and W)`` => ``GlobalAveragePool`` (and ``Flatten`` without keepdims).

    Mobile accelerators and ONNX Runtime's integer kernels know the pooling, not always the mean.
    """
    from onnx import helper, numpy_helper

    ranks = {info.name: len(info.type.tensor_type.shape.dim) for info in (*graph.value_info, *graph.input)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
            continue
        axes = {int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()}
        if ranks.get(node.input[0]) != 4 or axes != {2, 3}:
            continue
        keepdims = next((item.i for item in node.attribute if item.name == "keepdims"), 1)
        result = node.output[0]
        pooled = result if keepdims else f"{result}_pooled"
        node.op_type = "GlobalAveragePool"
        del node.input[1:], node.attribute[:]
        node.output[0] = pooled
        if not keepdims:
            flatten = helper.make_node("Flatten", [pooled], [result], axis=1)
            flatten.metadata_props.extend(node.metadata_props)
            nodes.append(flatten)
    del graph.node[:]
    graph.node.extend(nodes)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Drop constants that no node reads, and the types of tensors that no node makes."""
    results = {tensor.name for tensor in graph.output}
    read = {name for inner in _graphs(graph) for node in inner.node for name in node.input}
    read |= {tensor.name for inner in _graphs(graph) for tensor in inner.output}
    made = {name for node in graph.node for name in node.output}
    _keep(graph.initializer, read)
    _keep(graph.value_info, made - results)


def _keep(tensors: Any, names: set[str]) -> None:
    kept = [tensor for tensor in tensors if tensor.name in names]
    if len(kept) < len(tensors):
        del tensors[:]
        tensors.extend(kept)


def _name_nodes(graph: onnx.GraphProto) -> None:
    seen: Counter[str] = Counter()
    for node in graph.node:
        name = f"{_module(node)}/{node.op_type}".lstrip("/")
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _module(node: onnx.NodeProto) -> str:
    """PyTorch module path of a node, empty if the exporter did not note it.

    The note lists the scopes from the outermost in, and ends with the operation itself.
    """
    scopes = next((item.value for item in node.metadata_props if item.key == _SCOPES), "[]")
    modules = ast.literal_eval(scopes)[:-1]
    return str(modules[-1]) if modules else ""


def _name_tensors(graph: onnx.GraphProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give inputs and outputs their names; whatever else had one of these names moves aside."""
    names = {tensor.name: name for tensor, name in zip(graph.input, inputs, strict=True)}
    names |= {tensor.name: name for tensor, name in zip(graph.output, outputs, strict=True)}
    taken = {name for inner in _graphs(graph) for name in _names(inner)}
    for clash in sorted(({*inputs, *outputs} & taken) - names.keys()):
        fresh = f"{clash}_inner"
        while fresh in taken:
            fresh += "_"
        names[clash] = fresh
    for inner in _graphs(graph):
        for node in inner.node:
            for slots in (node.input, node.output):
                slots[:] = [names.get(name, name) for name in slots]
        for tensor in _tensors(inner):
            tensor.name = names.get(tensor.name, tensor.name)


def _names(graph: onnx.GraphProto) -> set[str]:
    made = {name for node in graph.node for name in node.output}
    return made | {tensor.name for tensor in _tensors(graph)}


def _strip(model: onnx.ModelProto) -> None:
    model.graph.name = "main"
    items: list[Any] = [model]
    for graph in _graphs(model.graph):
        items += [graph, *graph.node, *_tensors(graph)]
    for item in items:
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def _tensors(graph: onnx.GraphProto) -> tuple[Any, ...]:
    return (*graph.input, *graph.output, *graph.initializer, *graph.value_info)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, then the branches and loop bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
