"""The contract of a file that is about to be written."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from mobiledeploy.contract import Content, Contract, Target, TensorSpec

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mobiledeploy.source import SourceModel

_MAKERS: dict[Target, tuple[str, ...]] = {
    "tflite": ("mobiledeploy", "torch"),
    "onnx": ("mobiledeploy", "torch", "onnx", "onnxscript"),
    "coreml": ("mobiledeploy", "torch", "coremltools"),
}


def describe(source: SourceModel, program: ExportedProgram, target: Target) -> Contract:
    """Names, shapes and layouts of the file's tensors, and what the source says about itself."""
    graph = program.graph
    placeholders = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    inputs = [placeholders[name] for name in program.graph_signature.user_inputs if name in placeholders]
    results = [node for node in program.graph_signature.user_outputs if isinstance(node, str)]
    nodes = {node.name: node for node in graph.nodes}
    outputs = [nodes[name].meta["val"] for name in results]
    image = source.preprocessing is not None
    return Contract(
        inputs=tuple(
            _spec(
                "image" if image and index == 0 else node.name,
                node.meta["val"],
                target,
                "image" if image and index == 0 else "",
            )
            for index, node in enumerate(inputs)
        ),
        outputs=tuple(
            _spec(name, meta, target, _content(source, index))
            for index, (name, meta) in enumerate(
                zip(_output_names(source, program, len(outputs)), outputs, strict=True)
            )
        ),
        task=source.task,
        preprocessing=source.preprocessing,
        labels=source.labels,
        provenance=replace(source.provenance, tools=_tools(target)),
    )


def _spec(name: str, meta: Any, target: Target, content: Content | Literal[""]) -> TensorSpec:
    shape = tuple(int(size) for size in meta.shape)
    dtype = str(meta.dtype).removeprefix("torch.").replace("int64", "int32")
    layout: Literal["NHWC", "NCHW", ""] = ""
    if len(shape) == 4:
        layout = "NHWC" if target == "tflite" else "NCHW"
        if target == "tflite":
            shape = (shape[0], shape[2], shape[3], shape[1])
    return TensorSpec(name, shape, dtype, layout, content)


def _output_names(source: SourceModel, program: ExportedProgram, count: int) -> list[str]:
    """The keys of a model that returns a dict; else by what the outputs are for."""
    from torch.utils._pytree import tree_unflatten

    structure = program.call_spec.out_spec
    returned = tree_unflatten(list(range(count)), structure) if structure else None
    if isinstance(returned, dict) and all(isinstance(place, int) for place in returned.values()):
        return [str(key) for key in returned]
    name = "logits" if source.task == "image-classification" else "output"
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]


def _content(source: SourceModel, index: int) -> Content | Literal[""]:
    if source.task == "image-classification":
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
