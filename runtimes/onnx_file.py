"""Read what an ONNX file holds: any opset, float or quantized, ours or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobiledeploy.contract import METADATA_KEY, Contract, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.census import FileContents
from mobiledeploy.runtimes.onnx_graph import Graph, dtype_name, read_graph, stored_bytes
from mobiledeploy.runtimes.onnx_ops import list_operations

if TYPE_CHECKING:
    import onnx

_HINT = "Convert or download it again"


def read(path: Path) -> FileContents:
    """Read an ONNX file.

    Operators are listed as ONNX Runtime would run them: nodes that read constants only are folded
    into what reads their result, and an operator between DequantizeLinear and QuantizeLinear is one
    integer operator, without the two around it.  A QuantizeLinear or DequantizeLinear that is
    listed is a real conversion.  Dimensions that the file leaves open are -1; for mult-adds an open
    batch counts as 1.  The weights of a file with external data are looked up, not loaded.

    Raises:
        InputError: the file is missing, no ONNX file, or damaged, or its contract is.
    """
    model = load(path)
    graph = read_graph(model)
    operations = list_operations(graph)
    metadata = {item.key: item.value for item in model.metadata_props}
    text = metadata.get(METADATA_KEY)
    return FileContents(
        inputs=tuple(_spec(info, graph) for info in graph.inputs),
        outputs=tuple(_spec(info, graph) for info in graph.outputs),
        ops=operations.ops,
        parameters=sum(weight.size for weight in operations.weights),
        weight_bytes=sum(weight.stored_bytes for weight in operations.weights),
        contract=Contract.from_json(text, where=str(path)) if text is not None else None,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
    )


def load(path: Path) -> onnx.ModelProto:
    """The file as a protobuf, external data left where it is; see ``read`` for errors."""
    model = _parse(path)
    _check(model, path)
    return model


def _parse(path: Path) -> onnx.ModelProto:
    from onnx import ModelProto

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(path), hint="Check the path and its permissions"
        ) from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise InputError(
            "not an ONNX file, or a damaged one (its protobuf cannot be parsed)", where=str(path), hint=_HINT
        ) from error
    return model


def _check(model: onnx.ModelProto, path: Path) -> None:
    """Protobuf reads nearly any bytes as some message: what makes it a model has to be there."""
    problem = ""
    if model.ir_version <= 0 or not model.opset_import:
        problem = "not an ONNX file, or a cut one (no IR version or no opset)"
    elif not model.graph.node:
        problem = "the graph has no operations"
    elif not model.graph.output:
        problem = "the graph has no outputs"
    for tensor in model.graph.initializer:
        problem = problem or _weight_problem(tensor, path)
    if problem:
        raise InputError(problem, where=str(path), hint=_HINT)


def _weight_problem(tensor: onnx.TensorProto, path: Path) -> str:
    from onnx import TensorProto

    if any(side < 0 for side in tensor.dims):
        return f"the shape of weight {tensor.name!r} is damaged"
    if tensor.data_location == TensorProto.EXTERNAL:
        entries = {item.key: item.value for item in tensor.external_data}
        file = path.parent / entries.get("location", "")
        if not file.is_file():
            return f"the file {entries.get('location', '')!r} with its weights is missing beside it"
        start, length = entries.get("offset", "0"), entries.get("length", "0")
        if not (start.isdecimal() and length.isdecimal() and int(start) + int(length) <= file.stat().st_size):
            return f"the file {file.name!r} with its weights is damaged or cut"
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != stored_bytes(tensor):
        return f"weight {tensor.name!r} has {len(tensor.raw_data)} of {stored_bytes(tensor)} bytes"
    return ""


def _spec(info: onnx.ValueInfoProto, graph: Graph) -> TensorSpec:
    shape = graph.shapes.get(info.name) or ()
    scale, zero_point = graph.quantization(info.name)
    is_image = info.type.denotation == "IMAGE"
    return TensorSpec(
        name=info.name,
        shape=shape,
        dtype=dtype_name(info.type.tensor_type.elem_type),
        layout=_layout(shape),
        content="image" if is_image else "",
        scale=scale,
        zero_point=zero_point,
    )


def _layout(shape: tuple[int, ...]) -> Literal["NHWC", "NCHW", ""]:
    """By the place of 1, 3 or 4 channels in a 4-D tensor; ONNX's own habit is channels first."""
    if len(shape) != 4:
        return ""
    if shape[1] in (1, 3, 4):
        return "NCHW"
    return "NHWC" if shape[3] in (1, 3, 4) else ""
