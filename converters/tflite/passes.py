"""Clean-ups over a finished graph; each returns whether it changed anything."""

from __future__ import annotations

from collections.abc import Callable

from mobiledeploy.converters.tflite.graph import Graph, Operator

# TFLite's ActivationFunctionType.
_ACTIVATIONS = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_TAKES_ACTIVATION = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DIV",
        "FULLY_CONNECTED",
        "MAX_POOL_2D",
        "MUL",
        "SUB",
    }
)
_BROADCASTS = frozenset({"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SUB"})


def optimise(graph: Graph) -> None:
    """Run every pass until none changes the graph."""
    while any(run(graph) for run in PASSES):
        pass


def fuse_activation(graph: Graph) -> bool:
    """Before: ``CONV_2D -> RELU6``.  After: ``CONV_2D`` with RELU6 inside."""
    producers, consumers = graph.producers(), graph.consumers()
    fused = []
    for op in graph.operators:
        source = op.inputs[0] if op.inputs else None
        maker = producers.get(source) if source is not None else None
        if (
            op.kind not in _ACTIVATIONS
            or source is None
            or maker is None
            or maker.kind not in _TAKES_ACTIVATION
        ):
            continue
        if (
            "fusedActivationFunction" in maker.options
            or len(consumers[source]) > 1
            or source in graph.outputs
        ):
            continue
        if not op.outputs[0].dtype.startswith("float"):
            continue
        maker.options["fusedActivationFunction"] = _ACTIVATIONS[op.kind]
        maker.outputs = op.outputs
        producers[op.outputs[0]] = maker
        fused.append(op)
    _drop(graph, fused)
    return bool(fused)


def drop_kept_axes(graph: Graph) -> bool:
    """Before: ``MEAN(keep_dims) -> RESHAPE`` to the kept axes.  After: ``MEAN``."""
    producers, consumers = graph.producers(), graph.consumers()
    gone = []
    for op in graph.operators:
        source = op.inputs[0] if op.inputs else None
        maker = producers.get(source) if source is not None else None
        if op.kind != "RESHAPE" or source is None or maker is None or not maker.options.get("keepDims"):
            continue
        data, axes = maker.inputs[0], maker.inputs[1]
        if data is None or axes is None or axes.data is None:
            continue
        reduced = tuple(size for axis, size in enumerate(data.shape) if axis not in axes.data)
        if reduced == op.outputs[0].shape and len(consumers[source]) == 1 and source not in graph.outputs:
            maker.options["keepDims"] = False
            maker.outputs = op.outputs
            gone.append(op)
    _drop(graph, gone)
    return bool(gone)


def drop_broadcast(graph: Graph) -> bool:
    """Before: ``MUL(x, BROADCAST_TO(y))``.  After: ``MUL(x, y)``, which broadcasts by itself."""
    producers = graph.producers()
    changed = False
    for op in graph.operators:
        if op.kind not in _BROADCASTS:
            continue
        for index, tensor in enumerate(op.inputs):
            maker = producers.get(tensor) if tensor is not None else None
            other = op.inputs[1 - index]
            if maker is None or maker.kind != "BROADCAST_TO" or other is None:
                continue
            if other.shape == op.outputs[0].shape:
                op.inputs[index] = maker.inputs[0]
                changed = True
    return changed


def remove_dead(graph: Graph) -> bool:
    """Operators whose results nobody reads are removed."""
    alive = set(graph.outputs)
    kept: list[Operator] = []
    for op in reversed(graph.operators):
        if any(out in alive for out in op.outputs):
            kept.append(op)
            alive.update(tensor for tensor in op.inputs if tensor is not None)
    changed = len(kept) != len(graph.operators)
    graph.operators = kept[::-1]
    return changed


def _drop(graph: Graph, operators: list[Operator]) -> None:
    gone = set(map(id, operators))
    graph.operators = [op for op in graph.operators if id(op) not in gone]


PASSES: tuple[Callable[[Graph], bool], ...] = (drop_broadcast, remove_dead, fuse_activation, drop_kept_axes)
