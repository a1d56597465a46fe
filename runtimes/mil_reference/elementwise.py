"""Element by element: arithmetic, comparison, casts."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import COMPUTED_AS, Call, Lowering, UntranslatableError


def _unary(kind: str) -> Lowering:
    return lambda call: call.emit(kind, call.x())


def _binary(kind: str) -> Lowering:
    return lambda call: call.emit(kind, *_both(call))


def _both(call: Call) -> tuple[str, str]:
    return call.x("x"), call.x("y")


def _real_div(call: Call) -> str:
    if not call.is_float():
        raise UntranslatableError("division of integers")
    return call.emit("Div", *_both(call))


def _floor_div(call: Call) -> str:
    x, y = _both(call)
    if not call.is_float():
        # ONNX rounds towards 0, but not where nothing is left over.
        return call.emit("Div", call.emit("Sub", x, call.emit("Mod", x, y)), y)
    return call.emit("Floor", call.emit("Div", *_both(call)))


def _mod(call: Call) -> str:
    """The remainder takes the divisor's sign."""
    x, y = _both(call)
    if not call.is_float():
        return call.emit("Mod", x, y)
    return call.emit("Sub", x, call.emit("Mul", call.emit("Floor", call.emit("Div", x, y)), y))


def _not_equal(call: Call) -> str:
    return call.emit("Not", call.emit("Equal", *_both(call)))


def _shifted(kind: str, default: float) -> Lowering:
    return lambda call: call.emit(kind, _plus_epsilon(call, default))


def _plus_epsilon(call: Call, default: float) -> str:
    return call.emit("Add", call.x(), call.scalar(call.real("epsilon", default)))


def _rsqrt(call: Call) -> str:
    return call.emit("Reciprocal", call.emit("Sqrt", _plus_epsilon(call, 1e-12)))


def _square(call: Call) -> str:
    x = call.x()
    return call.emit("Mul", x, x)


def _exp2(call: Call) -> str:
    return call.emit("Pow", call.scalar(2.0), call.x())


def _threshold(call: Call) -> str:
    return call.emit("Max", call.x(), call.x("alpha"))


def _select(call: Call) -> str:
    return call.emit("Where", call.x("cond"), call.x("a"), call.x("b"))


def _cast(call: Call) -> str:
    wanted = COMPUTED_AS.get(call.output.dtype, call.output.dtype)
    if wanted == COMPUTED_AS.get(call.type().dtype, call.type().dtype):
        return call.x()
    return call.graph.cast(call.x(), wanted)


LOWERINGS: Mapping[str, Lowering] = {
    "abs": _unary("Abs"),
    "acos": _unary("Acos"),
    "add": _binary("Add"),
    "asin": _unary("Asin"),
    "atan": _unary("Atan"),
    "cast": _cast,
    "ceil": _unary("Ceil"),
    "cos": _unary("Cos"),
    "cosh": _unary("Cosh"),
    "equal": _binary("Equal"),
    "erf": _unary("Erf"),
    "exp": _unary("Exp"),
    "exp2": _exp2,
    "floor": _unary("Floor"),
    "floor_div": _floor_div,
    "greater": _binary("Greater"),
    "greater_equal": _binary("GreaterOrEqual"),
    "identity": _unary("Identity"),
    "inverse": _shifted("Reciprocal", 1e-4),
    "less": _binary("Less"),
    "less_equal": _binary("LessOrEqual"),
    "log": _shifted("Log", 1e-45),
    "logical_and": _binary("And"),
    "logical_not": _unary("Not"),
    "logical_or": _binary("Or"),
    "logical_xor": _binary("Xor"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "mod": _mod,
    "mul": _binary("Mul"),
    "not_equal": _not_equal,
    "pow": _binary("Pow"),
    "real_div": _real_div,
    "round": _unary("Round"),
    "rsqrt": _rsqrt,
    "select": _select,
    "sign": _unary("Sign"),
    "sin": _unary("Sin"),
    "sinh": _unary("Sinh"),
    "sqrt": _unary("Sqrt"),
    "square": _square,
    "sub": _binary("Sub"),
    "tan": _unary("Tan"),
    "tanh": _unary("Tanh"),
    "threshold": _threshold,
}
