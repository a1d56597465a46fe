"""What a MIL program costs and holds: operations, weights, mult-adds, labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, prod

from mobiledeploy.layer_cost import FULLY_CONNECTED, MATRIX_PRODUCT, convolution_kind
from mobiledeploy.runtimes.census import INTEGER_DTYPES, Op
from mobiledeploy.runtimes.integer_view import IntegerView, Step
from mobiledeploy.runtimes.mil_program import Constant, Operation, Program, Type

_DATA_OF_CONSTEXPR = (
    "quantized_data",
    "data",
    "indices",
    "nonzero_data",
    "indices_nonzero_data",
    "source_val",
)

_LAYERS = frozenset({"conv", "conv_transpose", "linear", "matmul"})


@dataclass(frozen=True, slots=True)
class Holdings:
    """Operations, weights and labels of a program; see ``FileContents``."""

    ops: tuple[Op, ...]
    parameters: int
    weight_bytes: int
    labels: tuple[str, ...]


def program_holdings(program: Program) -> Holdings:
    """What a program holds.

    Raises:
        LookupError, ValueError: an operation lacks what its kind needs.
    """
    return Holdings(_ops(program), *_parameters(program), labels(program))


def _ops(program: Program) -> tuple[Op, ...]:
    """What computes, as integer kernels would; what expands stored weights belongs to their readers."""
    expanded = _constexprs(program)
    pairs = [
        (op, _step(op, program, expanded))
        for op in program.operations
        if not op.kind.startswith("constexpr_")
    ]
    dtypes = {name: kind.dtype for name, kind in program.types.items()}
    rules = _Rules({step.outputs[0]: op for op, step in pairs if step.outputs}, program, expanded)
    view = IntegerView([step for _, step in pairs], dtypes, program.block.outputs, rules)
    listed = [
        (op, _op(op, step, view, program, expanded)) for op, step in pairs if not view.is_annotation(step)
    ]
    return _with_parameters(listed, program)


class _Rules:
    """What counts as integer in Core ML, which does not tell its kernels; see ``integer_view.Rules``.

    Everything between dequantize and quantize, but layers of real weights, and clips whose bounds
    lie inside the quantized range.
    """

    quantize, dequantize = "quantize", "dequantize"
    movers: frozenset[str] = frozenset()

    def __init__(
        self, makers: Mapping[str, Operation], program: Program, expanded: Mapping[str, str]
    ) -> None:
        self._makers, self._program, self._expanded = makers, program, expanded

    def computes_codes(self, step: Step) -> bool:
        return step.kind not in _LAYERS or self._has_codes(step)

    def gives_reals(self, step: Step) -> bool:
        return step.kind in ("linear", "matmul") and self._has_codes(step)

    def bounds(self, step: Step) -> tuple[float, float] | None:
        if step.kind == "clip":
            low, high = (self._number(step, name) for name in ("alpha", "beta"))
            return None if low is None or high is None else (low, high)
        return {"relu": (0.0, inf), "relu6": (0.0, 6.0)}.get(step.kind)

    def parameters(self, step: Step) -> tuple[float, int] | None:
        scale, zero_point = self._number(step, "scale"), self._number(step, "zero_point")
        return None if scale is None else (scale, int(zero_point or 0))

    def _has_codes(self, step: Step) -> bool:
        """Whether its weights are stored as integers, or computed."""
        arguments = self._makers[step.outputs[0]].inputs
        weights = [item for name in ("weight", "y") for item in arguments.get(name, ())]
        names = [item for item in weights if isinstance(item, str) and item not in self._program.constants]
        dtypes = {self._expanded[name] for name in names if name in self._expanded}
        return len(names) == len(weights) and dtypes <= INTEGER_DTYPES

    def _number(self, step: Step, name: str) -> float | None:
        found = list(_values(self._makers[step.outputs[0]].inputs.get(name, ()), self._program))
        return float(found[0].stored[0]) if found and found[0].type.size == 1 else None


def _step(op: Operation, program: Program, expanded: Mapping[str, str]) -> Step:
    names = [item for bound in op.inputs.values() for item in bound if isinstance(item, str)]
    read = (name for name in names if name not in program.constants and name not in expanded)
    made = tuple(name for name, _ in op.outputs)
    return Step(op.kind, tuple(name for name in read if name in program.types), made)


def _parameters(program: Program) -> tuple[int, int]:
    """Number of weights and their bytes as stored.

    Weights are the floating-point constants that are no scalars, and what the ``constexpr_``
    operations expand; the latter count expanded elements, and stored bytes with scales and tables.
    """
    count = size = 0
    weights: dict[int, Constant] = {}
    for op in program.operations:
        values = dict.fromkeys(_constants(op, program))
        if op.kind.startswith("constexpr_"):
            count += op.outputs[-1][1].size
            size += sum(value.stored.nbytes for value in values)
        else:
            weights.update((id(value), value) for value in values if _is_weight(value.type))
    count += sum(value.type.size for value in weights.values())
    return count, size + sum(value.stored.nbytes for value in weights.values())


def labels(program: Program) -> tuple[str, ...]:
    """Labels of the ``classify`` operation, none if there is none."""
    for op in program.operations:
        if op.kind == "classify":
            for classes in _values(op.inputs.get("classes", ()), program):
                return classes.texts or tuple(str(item) for item in classes.stored)
    return ()


def _with_parameters(listed: Iterable[tuple[Operation, Op]], program: Program) -> tuple[Op, ...]:
    """The operations with the weights that each is the first to read."""
    made = {name: kind.size for op in program.operations if _expands(op) for name, kind in op.outputs[-1:]}
    read: set[object] = set()
    found = []
    for op, counted in listed:
        sizes: dict[object, int] = {id(v): v.type.size for v in _constants(op, program) if _is_weight(v.type)}
        sizes.update({name: made[name] for name in _names(op.inputs.values()) if name in made})
        fresh = {key: size for key, size in sizes.items() if key not in read}
        read |= fresh.keys()
        own = op.inputs.get("bias", ())
        biases = {id(value) for value in _values(own, program)} | set(_names([own]))
        found.append(
            replace(
                counted,
                parameters=sum(fresh.values()),
                biases=sum(size for key, size in fresh.items() if key in biases),
            )
        )
    return tuple(found)


def _expands(op: Operation) -> bool:
    return op.kind.startswith("constexpr_")


def _names(bound: Iterable[Iterable[str | Constant]]) -> list[str]:
    return [item for values in bound for item in values if isinstance(item, str)]


def _is_weight(kind: Type) -> bool:
    return bool(kind.shape) and kind.dtype.startswith(("float", "bfloat"))


def _constexprs(program: Program) -> dict[str, str]:
    """Values that ``constexpr_`` operations make -> dtype that they are stored in."""
    found = {}
    for op in program.operations:
        if op.kind.startswith("constexpr_"):
            found.update({name: _stored_dtype(op, program) for name, _ in op.outputs})
    return found


def _stored_dtype(op: Operation, program: Program) -> str:
    arguments = {**{name: (value,) for name, value in op.attributes.items()}, **op.inputs}
    for name in _DATA_OF_CONSTEXPR:
        for value in _values(arguments.get(name, ()), program):
            return value.type.dtype
    return ""


def _values(bound: Iterable[str | Constant], program: Program) -> Iterator[Constant]:
    for item in bound:
        value = program.constants.get(item) if isinstance(item, str) else item
        if value is not None:
            yield value


def _constants(op: Operation, program: Program) -> Iterator[Constant]:
    for bound in op.inputs.values():
        yield from _values(bound, program)
    yield from (value for name, value in op.attributes.items() if name != "name")


def _op(op: Operation, step: Step, view: IntegerView, program: Program, expanded: Mapping[str, str]) -> Op:
    bound = [item for values in op.inputs.values() for item in values if isinstance(item, str)]
    stored = next((name for name in bound if name in expanded), "")
    found = Op(
        kind=op.kind,
        inputs=view.reads(step),
        outputs=tuple(dtype for dtype in view.writes(step) if dtype not in ("string", "list", "dictionary")),
        weights=expanded[stored] if stored else _largest(op, program),
        mult_adds=_mult_adds(op, program),
        name=op.name,
        layer=_layer(op, program, expanded),
    )
    return replace(found, read_as=program.types[stored].dtype) if stored and found.reads_reals else found


def _largest(op: Operation, program: Program) -> str:
    found = [value for value in _constants(op, program) if _is_weight(value.type)]
    return max(found, key=lambda value: value.type.size).type.dtype if found else ""


def _mult_adds(op: Operation, program: Program) -> int:
    """Multiply-accumulates, from the types that the file declares; 0 where a size is open."""
    shapes = {name: _shape(bound[0], program) for name, bound in op.inputs.items() if len(bound) == 1}
    output = op.outputs[0][1].shape if op.outputs else ()
    used = [output, *shapes.values()]
    if any(-1 in shape for shape in used):
        return 0
    match op.kind:
        case "conv":
            return prod(output) * prod(shapes["weight"][1:])
        case "conv_transpose":
            return prod(shapes["x"]) * prod(shapes["weight"][1:])
        case "linear":
            return prod(output) * shapes["weight"][1]
        case "matmul":
            transposed = any(
                bool(value.array) for value in _values(op.inputs.get("transpose_x", ()), program)
            )
            return prod(output) * shapes["x"][-2 if transposed else -1]
        case "einsum":
            return _einsum(op, program)
        case "scaled_dot_product_attention":
            query, key, value = shapes["query"], shapes["key"], shapes["value"]
            return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    return 0


def _layer(op: Operation, program: Program, expanded: Mapping[str, str]) -> str:
    """What an operation is in the words of ``layer_cost``; empty if it multiplies nothing."""
    match op.kind:
        case "conv" | "conv_transpose":
            first, second, *kernel = _shape(op.inputs["weight"][0], program)
            groups = next((int(v.stored[0]) for v in _values(op.inputs.get("groups", ()), program)), 1)
            transposed = op.kind == "conv_transpose"
            group_inputs = first // groups if transposed else second
            return convolution_kind(kernel, groups, group_inputs, transposed=transposed)
        case "linear":
            return FULLY_CONNECTED
        case "matmul":
            (weight,) = op.inputs["y"]
            stored = isinstance(weight, Constant) or weight in program.constants or weight in expanded
            return FULLY_CONNECTED if stored else MATRIX_PRODUCT
        case "einsum" | "scaled_dot_product_attention":
            return MATRIX_PRODUCT
    return ""


def _einsum(op: Operation, program: Program) -> int:
    """The product of the sizes of all indices of the equation."""
    (equation,) = (value.texts[0] for value in _values(op.inputs["equation"], program))
    sizes: dict[str, int] = {}
    for letters, bound in zip(equation.split("->")[0].split(","), op.inputs["values"], strict=True):
        sizes.update(zip(letters.strip(), _shape(bound, program), strict=True))
    return prod(sizes.values())


def _shape(bound: str | Constant, program: Program) -> tuple[int, ...]:
    if isinstance(bound, Constant):
        return bound.type.shape
    return program.types[bound].shape if bound in program.types else ()
