"""Activations."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering, UntranslatableError


def _clip(call: Call) -> str:
    return _clamp(call, call.real("alpha"), call.real("beta"))


def _relu6(call: Call) -> str:
    return _clamp(call, 0.0, 6.0)


def _clamp(call: Call, low: float, high: float) -> str:
    return call.emit("Clip", call.x(), call.scalar(low), call.scalar(high))


def _clamped_relu(call: Call) -> str:
    leaky = call.emit("LeakyRelu", call.x(), alpha=call.real("alpha"))
    return call.emit("Min", leaky, call.scalar(call.real("beta")))


def _leaky_relu(call: Call) -> str:
    return call.emit("LeakyRelu", call.x(), alpha=call.real("alpha"))


def _prelu(call: Call) -> str:
    slopes = call.array("alpha").reshape(-1, *[1] * (len(call.shape()) - 2))
    return call.emit("PRelu", call.x(), call.graph.constant(slopes))


def _thresholded_relu(call: Call) -> str:
    x = call.x()
    above = call.emit("GreaterOrEqual", x, call.scalar(call.real("alpha")))
    return call.emit("Where", above, x, call.scalar(0.0))


def _elu(call: Call) -> str:
    return call.emit("Elu", call.x(), alpha=call.real("alpha", 1.0))


def _silu(call: Call) -> str:
    x = call.x()
    return call.emit("Mul", x, call.emit("Sigmoid", x))


def _gelu(call: Call) -> str:
    mode, x = call.text("mode", "EXACT"), call.x()
    match mode:
        case "EXACT":
            return call.emit("Gelu", x, approximate="none")
        case "TANH_APPROXIMATION":
            return call.emit("Gelu", x, approximate="tanh")
        case "SIGMOID_APPROXIMATION":
            return call.emit("Mul", x, call.emit("Sigmoid", call.emit("Mul", x, call.scalar(1.702))))
    raise UntranslatableError(f"mode {mode}")


def _sigmoid_hard(call: Call) -> str:
    return call.emit("HardSigmoid", call.x(), alpha=call.real("alpha", 0.2), beta=call.real("beta", 0.5))


def _linear_activation(call: Call) -> str:
    scaled = call.emit("Mul", call.x(), call.scalar(call.real("alpha")))
    return call.emit("Add", scaled, call.scalar(call.real("beta", 0.0)))


def _scaled_tanh(call: Call) -> str:
    tanh = call.emit("Tanh", call.emit("Mul", call.x(), call.scalar(call.real("beta", 1.0))))
    return call.emit("Mul", tanh, call.scalar(call.real("alpha", 1.0)))


def _softmax(call: Call) -> str:
    return call.emit("Softmax", call.x(), axis=call.whole("axis", -1))


def _simple(kind: str) -> Lowering:
    return lambda call: call.emit(kind, call.x())


LOWERINGS: Mapping[str, Lowering] = {
    "clamped_relu": _clamped_relu,
    "clip": _clip,
    "elu": _elu,
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "linear_activation": _linear_activation,
    "prelu": _prelu,
    "relu": _simple("Relu"),
    "relu6": _relu6,
    "scaled_tanh": _scaled_tanh,
    "sigmoid": _simple("Sigmoid"),
    "sigmoid_hard": _sigmoid_hard,
    "silu": _silu,
    "softmax": _softmax,
    "softplus": _simple("Softplus"),
    "softsign": _simple("Softsign"),
    "thresholded_relu": _thresholded_relu,
}
