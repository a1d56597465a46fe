"""The contract of a file that is about to be written."""

from __future__ import annotations

import struct
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from mobiledeploy.contract import CLASSIFIERS, Content, Contract, Target, TensorSpec

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

    from mobiledeploy.source import SourceModel

_MAKERS: dict[Target, tuple[str, ...]] = {
    "tflite": ("mobiledeploy", "torch"),
    "onnx": ("mobiledeploy", "torch", "onnx", "onnxscript"),
    "coreml": ("mobiledeploy", "torch", "coremltools"),
}
_DECODED: dict[str, Content] = {
    "boxes": "boxes",
    "scores": "scores",
    "classes": "classes",
    "count": "count",
}


def describe(source: SourceModel, program: ExportedProgram, target: Target) -> Contract:
    """Names, shapes and layouts of the file's tensors, and what the source says about itself.

    A quantized program makes a TFLite file that takes and gives its codes; ONNX and Core ML files
    keep reals at their borders.
    """
    nodes = {node.name: node for node in program.graph.nodes}
    inputs = [nodes[name] for name in program.graph_signature.user_inputs if name in nodes]
    outputs = [nodes[name] for name in program.graph_signature.user_outputs if isinstance(name, str)]
    names = _output_names(source, program, len(outputs))
    return Contract(
        inputs=tuple(_input(source, index, node, target) for index, node in enumerate(inputs)),
        outputs=tuple(
            _spec(name, node.meta["val"], target, _content(source, name, index), _result_codes(node))
            for index, (name, node) in enumerate(zip(names, outputs, strict=True))
        ),
        task=source.task,
        preprocessing=source.preprocessing,
        labels=source.labels,
        provenance=replace(source.provenance, tools=_tools(target)),
        anchors=source.anchors,
        suppression=source.suppression,
    )


def _input(source: SourceModel, index: int, node: Node, target: Target) -> TensorSpec:
    image = source.preprocessing is not None and index == 0
    codes = _codes(next(iter(node.users))) if len(node.users) == 1 else None
    return _spec("image" if image else node.name, node.meta["val"], target, "image" if image else "", codes)


def _spec(
    name: str,
    meta: Any,
    target: Target,
    content: Content | Literal[""],
    codes: tuple[str, float, int] | None = None,
) -> TensorSpec:
    shape = tuple(int(size) for size in meta.shape)
    dtype = str(meta.dtype).removeprefix("torch.").replace("int64", "int32")
    layout: Literal["NHWC", "NCHW", ""] = ""
    if len(shape) == 4:
        layout = "NHWC" if target == "tflite" else "NCHW"
        if target == "tflite":
            shape = (shape[0], shape[2], shape[3], shape[1])
    if codes is None or target != "tflite":
        return TensorSpec(name, shape, dtype, layout, content)
    return TensorSpec(name, shape, codes[0], layout, content, *codes[1:])


def _result_codes(node: Node) -> tuple[str, float, int] | None:
    """Of an output that is dequantized: what it was before."""
    before = node.args[0] if "dequantize" in str(node.target) else None
    return _codes(before) if before is not None else None


def _codes(node: Any) -> tuple[str, float, int] | None:
    """Dtype, scale (as a file's float32 has it) and zero point of a quantize node; None for another node."""
    if str(node.target) != "quantized_decomposed.quantize_per_tensor.default":
        return None
    _, scale, zero_point, _, _, dtype = node.args
    exact = struct.unpack("f", struct.pack("f", scale))[0]
    return str(dtype).removeprefix("torch."), exact, int(zero_point)


def _output_names(source: SourceModel, program: ExportedProgram, count: int) -> list[str]:
    """The keys of a model that returns a dict; else by what the outputs are for."""
    from torch.utils._pytree import tree_unflatten

    structure = program.call_spec.out_spec
    returned = tree_unflatten(list(range(count)), structure) if structure else None
    if isinstance(returned, dict) and all(isinstance(place, int) for place in returned.values()):
        return [str(key) for key in returned]
    name = "logits" if source.task in CLASSIFIERS else "output"
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]


def _content(source: SourceModel, name: str, index: int) -> Content | Literal[""]:
    if source.suppression is not None:
        return _DECODED.get(name, "")
    if source.task in CLASSIFIERS:
        return "logits" if index == 0 else ""
    return "features" if source.task == "embedding" else ""


def _tools(target: Target) -> tuple[tuple[str, str], ...]:
    found = []
    for package in _MAKERS[target]:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)
