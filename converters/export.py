"""From a PyTorch model to the one program that every target lowers."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from mobiledeploy.converters.batch_norm import fold_batch_norm
from mobiledeploy.converters.functional import functional
from mobiledeploy.converters.inline_regions import inline_regions
from mobiledeploy.errors import UnsupportedError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mobiledeploy.source import SourceModel


def export(source: SourceModel) -> ExportedProgram:
    """The model as an ``ExportedProgram``: static shapes, nothing in place, batch norm folded.

    The weights are copies: the module is left as it was.

    Raises:
        UnsupportedError: ``torch.export`` cannot trace the model.
    """
    import torch

    if source.module.training:
        raise UnsupportedError(
            "the model is in training mode", where=_name(source), hint="Call model.eval() before converting"
        )
    logging.getLogger("torch.export").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(source.module, source.example_input, strict=False)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UnsupportedError(
                f"torch.export cannot trace it ({type(error).__name__}: {reason})",
                where=_name(source),
                hint="Remove data-dependent control flow from forward()",
            ) from error
        program._state_dict = dict(program.state_dict)
        return _renamed_outputs(fold_batch_norm(functional(inline_regions(program))))


def _renamed_outputs(program: ExportedProgram) -> ExportedProgram:
    """The signature's outputs called as the nodes that now make them."""
    results = next(node for node in program.graph.nodes if node.op == "output").args[0]
    for spec, node in zip(program.graph_signature.output_specs, results, strict=True):
        if hasattr(node, "name"):
            spec.arg.name = node.name
    return program


def _name(source: SourceModel) -> str:
    return source.provenance.model or type(source.module).__name__
