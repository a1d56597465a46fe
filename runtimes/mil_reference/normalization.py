"""Normalisation over channels, images and features."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering


def _batch_norm(call: Call) -> str:
    return call.emit(
        "BatchNormalization",
        call.x(),
        _scale(call),
        _offset(call),
        call.x("mean"),
        call.x("variance"),
        epsilon=call.real("epsilon", 1e-5),
    )


def _instance_norm(call: Call) -> str:
    epsilon = call.real("epsilon", 1e-5)
    return call.emit("InstanceNormalization", call.x(), _scale(call), _offset(call), epsilon=epsilon)


def _scale(call: Call) -> str:
    return call.x("gamma") if call.has("gamma") else _filled(call, 1.0)


def _offset(call: Call) -> str:
    return call.x("beta") if call.has("beta") else _filled(call, 0.0)


def _filled(call: Call, value: float) -> str:
    return call.graph.constant([value] * call.shape()[1], "float32")


def _layer_norm(call: Call) -> str:
    shape = call.shape()
    axes = sorted(axis % len(shape) for axis in call.ints("axes", range(len(shape))))
    over = call.graph.ints(axes)
    centred = call.emit("Sub", call.x(), call.emit("ReduceMean", call.x(), over))
    variance = call.emit("ReduceMean", call.emit("Mul", centred, centred), over)
    epsilon = call.scalar(call.real("epsilon", 1e-5))
    result = call.emit("Div", centred, call.emit("Sqrt", call.emit("Add", variance, epsilon)))
    broadcast = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    if call.has("gamma"):
        result = call.emit("Mul", result, call.reshape(call.x("gamma"), broadcast))
    if call.has("beta"):
        result = call.emit("Add", result, call.reshape(call.x("beta"), broadcast))
    return result


def _l2_norm(call: Call) -> str:
    """Over the last three axes."""
    x = call.x()
    total = call.emit("ReduceSumSquare", x, call.graph.ints([-3, -2, -1]))
    floor = call.emit("Add", total, call.scalar(call.real("epsilon", 1e-6)))
    return call.emit("Div", x, call.emit("Sqrt", floor))


LOWERINGS: Mapping[str, Lowering] = {
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
}
