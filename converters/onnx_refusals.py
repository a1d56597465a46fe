"""Why ``torch.onnx`` could not translate a program, by PyTorch module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mobiledeploy.converters.nodes import module_path
from mobiledeploy.converters.onnx_suppression import OPERATION
from mobiledeploy.errors import EnvironmentProblem, Refusal, RefusedError, UnsupportedError

if TYPE_CHECKING:
    import torch

_NEXT_STEP = "replace it in the model by operations that ONNX has"


def missing_package(error: ImportError) -> EnvironmentProblem:
    """For an exporter whose packages are not installed."""
    return EnvironmentProblem(
        f"the ONNX exporter needs the package {error.name or error}",
        where="torch.onnx",
        hint="Install mobiledeploy[torch,onnx]",
    )


def explain(program: torch.export.ExportedProgram, opset: int, error: Exception) -> UnsupportedError:
    """The whole table of operations without an ONNX form; else the exporter's own reason in one line.

    Args:
        program: as it was given to the exporter.
        opset: opset that was asked for.
        error: what the exporter raised.
    """
    causes = _causes(error)
    refusals = _unknown_operations(program, opset) or _failed_node(program, causes)
    if refusals:
        return RefusedError(refusals, where="ONNX")
    reason = _first_line(causes[-1]) or type(causes[-1]).__name__
    return UnsupportedError(
        f"the ONNX exporter failed: {reason}",
        where="torch.onnx",
        hint="Try another torch version, or a simpler form of the operation",
    )


def _unknown_operations(program: torch.export.ExportedProgram, opset: int) -> tuple[Refusal, ...]:
    """Operations that are still there after decomposition and that the exporter has no function for."""
    # The public exporter stops at the first one; its registry is the only list of what it knows.
    from torch.onnx._internal.exporter._fx_passes import decompose_with_registry
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    registry = ONNXRegistry.from_torchlib(opset_version=opset)
    try:
        program = decompose_with_registry(program, registry)
    except Exception:  # noqa: BLE001  (the exporter's own failure is reported instead)
        return ()
    return tuple(
        _refusal(node, "ONNX has no form of it")
        for node in program.graph.nodes
        if node.op == "call_function"
        and not registry.is_registered(node.target)
        and str(node.target) != OPERATION
    )


def _failed_node(program: torch.export.ExportedProgram, causes: list[BaseException]) -> tuple[Refusal, ...]:
    """The one node that the exporter names in its message, if it names one."""
    for cause in causes:
        found = re.search(r"translating node %(\w+)", str(cause))
        if found is None:
            continue
        reason = _first_line(causes[-1]) or type(causes[-1]).__name__
        nodes = {node.name: node for node in program.graph.nodes}
        if found[1] in nodes:
            return (_refusal(nodes[found[1]], reason),)
        return (Refusal(found[1], "", found[1], (), reason, _NEXT_STEP),)
    return ()


def _refusal(node: torch.fx.Node, reason: str) -> Refusal:
    return Refusal(
        node=node.name,
        module=module_path(node),
        op=str(node.target),
        shape=_shape(node),
        reason=reason,
        next_step=_NEXT_STEP,
    )


def _shape(node: torch.fx.Node) -> tuple[int, ...]:
    import torch

    values = (source.meta.get("val") for source in node.all_input_nodes)
    first = next((value for value in values if isinstance(value, torch.Tensor)), None)
    return tuple(int(size) for size in first.shape) if first is not None else ()


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
