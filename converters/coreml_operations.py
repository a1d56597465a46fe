"""The program in operations that coremltools knows and reads right."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mobiledeploy.converters.nodes import module_path
from mobiledeploy.errors import Refusal, RefusedError

if TYPE_CHECKING:
    import torch


def in_known_operations(program: torch.export.ExportedProgram, where: str) -> torch.export.ExportedProgram:
    """A copy of the program with nothing in place, in operations that coremltools translates.

    Operations that it does not know are broken down by torch's own decompositions.

    Args:
        program: any ``ExportedProgram``; it stays as it is.
        where: what is being written, for the message.

    Raises:
        RefusedError: operations that cannot be broken down either, all of them.
    """
    from mobiledeploy.converters.functional import functional
    from mobiledeploy.converters.real_biases import real_biases

    program = real_biases(functional(_copied(program)))
    _rewrite(program)
    if _unknown(program):
        program = _broken_down(program)
    unknown = _unknown(program)
    if unknown:
        raise RefusedError(tuple(_refusal(node) for node in unknown), where=where)
    return program


def _broken_down(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Replace what is unknown by torch's own decompositions, as far as they go."""
    import torch
    from torch._decomp import get_decompositions
    from torch.export import default_decompositions

    table = {**default_decompositions(), **get_decompositions([torch.ops.aten.gelu.default])}
    # Each round may uncover operations that have to be broken down further.
    while parts := {node.target: table[node.target] for node in _unknown(program) if node.target in table}:
        program = program.run_decompositions(parts)
        _rewrite(program)
    if any(_is_composite(node) for node in _unknown(program)):
        program = program.run_decompositions({})
        _rewrite(program)
    return program


def _copied(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with a graph of its own, under the dialect's name that coremltools asks for.

    It asks for ATEN because programs of the other dialect may write in place, which is taken out here;
    tracing the program anew for it takes longer than converting it.
    """
    import torch
    from torch._export.verifier import Verifier

    graph = copy.deepcopy(program.graph)
    for node, original in zip(graph.nodes, program.graph.nodes, strict=True):
        # The signature knows nodes by name, and copying changes some (``input``).
        node.name = original.name
    own = copy.copy(program)
    own._graph_module = torch.fx.GraphModule(program.graph_module, graph)
    own._verifiers = [Verifier]
    return own


def _rewrite(program: torch.export.ExportedProgram) -> None:
    for node in list(program.graph.nodes):
        if node.op == "call_function":
            _name_in_place(node)
            _flatten(node)
            _alias(node)
            _scaled_operand(node)
            _whole_quotient(node)


def _name_in_place(node: torch.fx.Node) -> None:
    """Before: ``relu_(x)``, whose result is all that is read.  After: ``relu(x)``."""
    import torch

    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable:
        name = target._schema.name.removeprefix("aten::").removesuffix("_")
        node.target = getattr(getattr(torch.ops.aten, name), target._overloadname)


def _flatten(node: torch.fx.Node) -> None:
    """Before: ``flatten(x, 1)``.  After: ``reshape(x, [1, 1280])``."""
    import torch

    if node.target is torch.ops.aten.flatten.using_ints:
        node.target = torch.ops.aten.reshape.default
        node.args, node.kwargs = (node.all_input_nodes[0], list(node.meta["val"].shape)), {}


def _alias(node: torch.fx.Node) -> None:
    """Before: ``a = alias(x); f(a)``.  After: ``f(x)``."""
    import torch

    if node.target is torch.ops.aten.alias.default:
        node.replace_all_uses_with(node.all_input_nodes[0])
        node.graph.erase_node(node)


def _scaled_operand(node: torch.fx.Node) -> None:
    """Before: ``add(x, y, alpha=2)``, whose factor coremltools drops.  After: ``add(x, mul(y, 2))``."""
    import torch

    aten = torch.ops.aten
    if node.target not in (aten.add.Tensor, aten.sub.Tensor) or node.kwargs.get("alpha", 1) == 1:
        return
    x, y = node.args
    with node.graph.inserting_before(node):
        scaled = node.graph.call_function(aten.mul.Tensor, (y, node.kwargs["alpha"]))
    if isinstance(y, torch.fx.Node):
        scaled.meta = dict(y.meta)
    node.args, node.kwargs = (x, scaled), {}


def _whole_quotient(node: torch.fx.Node) -> None:
    """Before: ``floor_divide(i, 3)`` of integers, which coremltools gives as reals.  After: cast to int32."""
    import torch

    cast = torch.ops.aten._to_copy.default
    if node.target is not torch.ops.aten.floor_divide.default or node.meta["val"].is_floating_point():
        return
    if any(user.target is cast for user in node.users):
        return
    with node.graph.inserting_after(node):
        whole = node.graph.call_function(cast, (node,), {"dtype": torch.int32})
    whole.meta = dict(node.meta)
    node.replace_all_uses_with(whole, delete_user_cb=lambda user: user is not whole)


def _unknown(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    """Nodes that coremltools has no translation for, or only a wrong one."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    calls = (node for node in program.graph.nodes if node.op == "call_function")
    return [
        node for node in calls if _TORCH_OPS_REGISTRY.get_func(_operation(node)) is None or _is_misread(node)
    ]


def _operation(node: torch.fx.Node) -> str:
    """``aten::relu`` of an overload, the plain name of a Python function."""
    target: Any = node.target
    return str(target.name() if hasattr(target, "name") else target.__name__)


def _is_misread(node: torch.fx.Node) -> bool:
    """coremltools overlooks ``approximate`` and writes the exact form, which is up to 5e-4 off."""
    return str(node.target) == "aten.gelu.default" and node.kwargs.get("approximate", "none") != "none"


def _is_composite(node: torch.fx.Node) -> bool:
    """Whether torch defines it by other operations (``chunk``), which a retrace then shows."""
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return bool(target._can_decompose())


def _refusal(node: torch.fx.Node) -> Refusal:
    shapes = [tuple(item.meta["val"].shape) for item in node.all_input_nodes if _has_shape(item)]
    return Refusal(
        node=node.name,
        module=module_path(node),
        op=str(node.target),
        shape=shapes[0] if shapes else (),
        reason="coremltools has no translation for it",
        next_step="rewrite it with other operations, or cut the model before it",
    )


def _has_shape(node: torch.fx.Node) -> bool:
    return hasattr(node.meta.get("val"), "shape")
