"""Models from ``.pt2`` programs, as ``torch.export.save`` writes them."""

from __future__ import annotations

import io
import json
import logging
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Provenance
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.models.checkpoints import DAMAGE, load_pickle, require_readable, sha256
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import torch

EXPORT_HINT = "Export it again: torch.export.save(torch.export.export(model.eval(), (example,)), path)"
# Position of the argument that is true in training mode.
TRAINING = {"aten.batch_norm.default": 5, "aten.dropout.default": 2}
STATIC_HINT = "Export it without dynamic_shapes, at the one shape it is to run at"


def load_program(path: Path) -> SourceModel:
    """The program as a module, with the example input that was saved with it.

    Raises:
        InputError: see ``read_program``.
        UnsupportedError: see ``read_program``; an input is a keyword or no tensor, or the program was
            exported in training mode.
    """
    program = read_program(path)
    _refuse_training(program, path)
    module = program.module(check_guards=False)
    for part in module.modules():
        part.training = False  # a program has no eval(): its graph is in inference mode already
    return SourceModel(
        module=module,
        example_input=_example(program, path),
        provenance=Provenance(model=path.name, weights=path.name, weights_sha256=sha256(path)),
    )


def read_program(path: Path) -> torch.export.ExportedProgram:
    """The program itself; operators that it calls, beside torch's and ours, have to be registered.

    PyTorch's reader runs pickled objects, compiled libraries, symbolic expressions and guards that such
    a file may hold.  A file with any of these is refused before PyTorch reads it, or they are left out.

    Raises:
        InputError: the file is missing, damaged or holds more than a program and its weights.
        UnsupportedError: a shape is dynamic.
    """
    require_readable(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse(archive, path)
    except (zipfile.BadZipFile, zlib.error, OSError, *DAMAGE) as error:
        raise _damaged(path) from error
    return _read(path)


def _read(path: Path) -> torch.export.ExportedProgram:
    """PyTorch's reader, which also verifies that the graph calls tensor operators only."""
    import torch

    import mobiledeploy.models.suppression  # noqa: F401 (registers the operator that detectors have)

    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it logs a traceback before it raises
    try:
        return torch.export.load(path)
    except Exception as error:
        raise _damaged(path) from error
    finally:
        logger.setLevel(level)


def _damaged(path: Path) -> InputError:
    return InputError(
        "it is no exported program, or it is truncated, damaged or of another PyTorch version",
        where=str(path),
        hint=EXPORT_HINT,
    )


def _refuse(archive: zipfile.ZipFile, path: Path) -> None:
    """Look into the archive as data only; its members lie in one folder."""
    names = archive.namelist()
    graphs = [name for name in names if "/models/" in name]
    current = any(name.endswith("/archive_format") for name in names)
    if len(graphs) != 1 or len(set(names)) != len(names) or not current:
        raise InputError("it is no archive of one program", where=str(path), hint=EXPORT_HINT)
    for name in names:
        if "/data/aotinductor/" in name:
            raise _more_than_weights("a compiled library", path)
        if name.endswith(".pt"):
            _refuse_pickled_code(archive.read(name), path)
        if name.endswith("_config.json"):
            payloads = json.loads(archive.read(name))["config"].values()
            if any(payload.get("use_pickle") is not False for payload in payloads):
                raise _more_than_weights("pickled objects", path)
    _refuse_dynamic(json.loads(archive.read(graphs[0]))["graph_module"], path)


def _refuse_pickled_code(content: bytes, path: Path) -> None:
    try:
        load_pickle(io.BytesIO(content))
    except DAMAGE as error:
        raise _more_than_weights("pickled objects", path) from error


def _more_than_weights(what: str, path: Path) -> InputError:
    return InputError(
        f"it holds more than a program and weights ({what}) and was not run",
        where=str(path),
        hint=EXPORT_HINT,
    )


def _refuse_dynamic(graph_module: dict[str, Any], path: Path) -> None:
    """Name the first input dimension that is an expression instead of a number."""
    values = graph_module["graph"]["tensor_values"]
    for spec in graph_module["signature"]["input_specs"]:
        name = spec.get("user_input", {}).get("arg", {}).get("as_tensor", {}).get("name", "")
        for dim, size in enumerate(values.get(name, {}).get("sizes", ())):
            if "as_int" not in size:
                raise UnsupportedError(
                    f"dimension {dim} of input {name} is dynamic", where=str(path), hint=STATIC_HINT
                )
    if any("as_int" not in size for value in values.values() for size in value["sizes"]):
        raise UnsupportedError("a shape depends on the data", where=str(path), hint=STATIC_HINT)


def _refuse_training(program: torch.export.ExportedProgram, path: Path) -> None:
    for node in program.graph.nodes:
        flag = TRAINING.get(str(node.target))
        if flag is not None and node.args[flag] is True:
            raise UnsupportedError(
                f"it was exported in training mode ({node.target})", where=str(path), hint=EXPORT_HINT
            )


def _example(program: torch.export.ExportedProgram, path: Path) -> tuple[torch.Tensor, ...]:
    import torch

    arguments, keywords = program.example_inputs or ((), {})
    if keywords or not arguments or not all(isinstance(value, torch.Tensor) for value in arguments):
        raise UnsupportedError(
            "its inputs are not plain positional tensors",
            where=str(path),
            hint="Export it with tensors only: torch.export.export(model.eval(), (example,))",
        )
    return tuple(arguments)
