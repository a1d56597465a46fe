"""A MIL program -> an ONNX model in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import InputError, Refusal, RefusedError
from mobiledeploy.runtimes.mil_program import Operation, Program
from mobiledeploy.runtimes.mil_reference import (
    activation,
    convolution,
    elementwise,
    linear,
    normalization,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
    suppression,
)
from mobiledeploy.runtimes.mil_reference.constexpr import EXPANSIONS
from mobiledeploy.runtimes.mil_reference.graph import (
    IR_VERSION,
    OPSET,
    Call,
    Graph,
    Lowering,
    UntranslatableError,
)

if TYPE_CHECKING:
    import onnx

LOWERINGS: Mapping[str, Lowering] = {
    **activation.LOWERINGS,
    **convolution.LOWERINGS,
    **elementwise.LOWERINGS,
    **linear.LOWERINGS,
    **normalization.LOWERINGS,
    **pooling.LOWERINGS,
    **quantization.LOWERINGS,
    **reduction.LOWERINGS,
    **resize.LOWERINGS,
    **shape.LOWERINGS,
    **suppression.LOWERINGS,
}

# These only move values or choose among them: what went in rounded comes out rounded.
_EXACT = frozenset({*shape.LOWERINGS, "identity", "max_pool", "maximum", "minimum", "relu", "select"})
# Names a label; computes nothing.
_SKIPPED = frozenset({"const", "classify"})


def to_onnx(
    program: Program,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[tuple[str, TensorSpec]],
    where: str,
) -> onnx.ModelProto:
    """Translate a program.

    float16 values are computed in float32 and rounded to float16 after each operation, so that the
    range and precision of storage show.  Images come in as NHWC pixels.

    Args:
        program: static shapes, one block.
        inputs: as the session takes them, in the program's order.
        outputs: MIL value and how the session returns it.
        where: the file, for messages.

    Returns:
        A model whose inputs are called ``input_0``..., its outputs ``output_0``...

    Raises:
        RefusedError: operations that have no translation, all of them.
        InputError: the program is malformed.
    """
    graph = Graph(program)
    for index, spec in enumerate(inputs):
        graph.bind(spec.name, _entry(graph, f"input_{index}", spec, program))
    refusals = [item for op in program.block.operations if (item := _translate(op, graph, where))]
    if refusals:
        raise RefusedError(tuple(refusals), where=where)
    for index, (value, spec) in enumerate(outputs):
        _exit(graph, graph.name(value), f"output_{index}", spec)
    return _model(graph, inputs, [spec for _, spec in outputs])


def _entry(graph: Graph, name: str, spec: TensorSpec, program: Program) -> str:
    """The program's input from the session's: pixels become NCHW floats."""
    declared = program.types[spec.name]
    if spec.dtype != "float32" and declared.dtype.startswith("float"):
        name = graph.cast(name, "float32")
    if spec.layout == "NHWC" and spec.shape != declared.shape:
        name = graph.emit("Transpose", [name], perm=[0, 3, 1, 2])
    return name


def _exit(graph: Graph, name: str, output: str, spec: TensorSpec) -> None:
    from onnx import helper

    if spec.dtype == "float16":
        name = graph.cast(name, "float16")
    graph.nodes.append(helper.make_node("Identity", [name], [output]))


def _translate(op: Operation, graph: Graph, where: str) -> Refusal | None:
    """Add one operation; the refusal if it has no translation."""
    if op.kind in _SKIPPED:
        return None
    call = Call(op, graph)
    try:
        if op.kind in EXPANSIONS:
            graph.folded[op.name] = EXPANSIONS[op.kind](call)
            return None
        if op.kind not in LOWERINGS:
            raise UntranslatableError("the reference does not know it")
        if any(-1 in kind.shape for _, kind in op.outputs):
            raise UntranslatableError("its shape is not static")
        made = LOWERINGS[op.kind](call)
    except UntranslatableError as reason:
        for value, _ in op.outputs:
            # A stand-in, so that the operations behind it are looked at too.
            graph.bind(value, value)
        return _refusal(op, call, str(reason))
    except (KeyError, ValueError, IndexError, TypeError, ZeroDivisionError) as error:
        raise InputError(
            f"operation {op.name} ({op.kind}) is malformed ({error})",
            where=where,
            hint="The file is damaged: convert or download it again",
        ) from error
    for (value, kind), name in zip(op.outputs, [made] if isinstance(made, str) else made, strict=True):
        rounds = kind.dtype == "float16" and op.kind not in _EXACT
        graph.bind(value, graph.round_to_half(name) if rounds else name)
    return None


def _refusal(op: Operation, call: Call, reason: str) -> Refusal:
    sizes = call.shape() if "x" in op.inputs else ()
    return Refusal(
        node=op.name,
        module="",
        op=op.kind,
        shape=sizes,
        reason=reason,
        next_step="run the file on macOS, where Core ML itself does it",
    )


def _model(graph: Graph, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> onnx.ModelProto:
    import numpy as np
    from onnx import helper

    def described(prefix: str, specs: Sequence[TensorSpec]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                f"{prefix}_{index}", helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape
            )
            for index, spec in enumerate(specs)
        ]

    body = helper.make_graph(
        graph.nodes, "program", described("input", inputs), described("output", outputs), graph.initializers
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
