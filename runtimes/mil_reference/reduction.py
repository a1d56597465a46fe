"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.runtimes.mil_reference.graph import Call, Lowering


def _reduce(kind: str) -> Lowering:
    def lower(call: Call) -> str:
        axes = call.ints("axes", range(len(call.shape())))
        return call.emit(kind, call.x(), call.graph.ints(axes), keepdims=int(call.flag("keep_dims")))

    return lower


def _position(kind: str) -> Lowering:
    def lower(call: Call) -> str:
        keep = int(call.flag("keep_dims"))
        found = call.emit(kind, call.x(), axis=call.whole("axis", -1), keepdims=keep)
        return call.graph.cast(found, "int32")

    return lower


def _topk(call: Call) -> list[str]:
    values, indices = call.graph.emit_many(
        "TopK",
        [call.x(), call.graph.ints([call.whole("k", 1)])],
        2,
        axis=call.whole("axis", -1),
        largest=int(not call.flag("ascending")),
    )
    found = [values, call.graph.cast(indices, "int32")]
    return found[: len(call.op.outputs)]


def _argsort(call: Call) -> str:
    axis = call.whole("axis", -1)
    count = call.graph.ints([call.shape()[axis]])
    largest = int(not call.flag("ascending"))
    _, indices = call.graph.emit_many("TopK", [call.x(), count], 2, axis=axis, largest=largest)
    return call.graph.cast(indices, "int32")


def _cumsum(call: Call) -> str:
    axis = call.graph.constant(call.whole("axis", 0), "int64")
    flags = {name: int(call.flag(name)) for name in ("exclusive", "reverse")}
    return call.emit("CumSum", call.x(), axis, **flags)


LOWERINGS: Mapping[str, Lowering] = {
    "argsort": _argsort,
    "cumsum": _cumsum,
    "reduce_argmax": _position("ArgMax"),
    "reduce_argmin": _position("ArgMin"),
    "reduce_l1_norm": _reduce("ReduceL1"),
    "reduce_l2_norm": _reduce("ReduceL2"),
    "reduce_log_sum": _reduce("ReduceLogSum"),
    "reduce_log_sum_exp": _reduce("ReduceLogSumExp"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_mean": _reduce("ReduceMean"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_prod": _reduce("ReduceProd"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_sum_square": _reduce("ReduceSumSquare"),
    "topk": _topk,
}
