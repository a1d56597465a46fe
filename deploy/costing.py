"""What a model or a file costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mobiledeploy.deploy.sources import as_source
from mobiledeploy.errors import InputError
from mobiledeploy.layer_cost import Cost
from mobiledeploy.models import MODEL_FILES
from mobiledeploy.runtimes.file_cost import file_cost
from mobiledeploy.runtimes.formats import FORMATS, needs, read_artifact
from mobiledeploy.source import SourceModel


def cost_of(
    reference: str | None,
    *,
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
) -> Cost:
    """Mult-adds and parameters of a model, or of a TFLite, ONNX or Core ML file.

    Args:
        reference: as for ``models.load``, or a file.  Of a model no trained weights are needed: without
            ``weights`` they are random.
        weights, width, resolution: as for ``models.load``; not for a file.

    Raises:
        InputError: the reference or an option is wrong.
        UnsupportedError: the model cannot be exported, or the file does not tell its shapes.
        EnvironmentProblem: a package is not on this machine.
    """
    if reference is not None and _is_file(reference):
        if weights is not None or width is not None or resolution is not None:
            raise InputError(
                "a file has its weights, width and resolution inside",
                where=reference,
                hint="Leave --weights, --width and --resolution out",
            )
        return file_cost(read_artifact(reference))
    with needs("torch"):
        from mobiledeploy.converters.export import export
        from mobiledeploy.models.cost import program_cost
    return program_cost(export(_source(reference, weights, width, resolution)))


def _is_file(reference: str) -> bool:
    path = Path(reference)
    suffixes = {suffix for item in FORMATS.values() for suffix in item.suffixes}
    if path.is_dir():
        return (path / "Manifest.json").is_file()
    return path.suffix.lower() in suffixes or (path.is_file() and path.suffix not in MODEL_FILES)


def _source(
    reference: str | None, weights: str | Path | None, width: float | None, resolution: int | None
) -> SourceModel:
    """The model; one of the zoo without memory for its weights, which nobody looks at."""
    import torch

    from mobiledeploy.models import DEFAULT_MODEL, entries

    reference = reference or DEFAULT_MODEL
    if weights is not None or reference.endswith(MODEL_FILES):
        return as_source(reference, weights=weights, width=width, resolution=resolution)
    if reference not in {entry.name for entry in entries()}:
        return as_source(reference, weights="random", width=width, resolution=resolution)
    with torch.device("meta"):
        source = as_source(reference, weights="random", width=width, resolution=resolution)
    return replace(source, example_input=tuple(item.to("meta") for item in source.example_input))
