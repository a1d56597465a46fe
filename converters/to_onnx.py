"""ExportedProgram -> ONNX file: ``torch.onnx`` translates, this module names, tidies and checks."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Precision
from mobiledeploy.converters import onnx_dynamic, onnx_half, onnx_metadata, onnx_refusals, onnx_tidy
from mobiledeploy.converters.onnx_suppression import translations
from mobiledeploy.errors import InputError, OutputError, UnsupportedError

if TYPE_CHECKING:
    import onnx
    import torch

# torch.onnx writes its operators at opset 18; any other number sends the graph through a version
# converter.  Every onnxruntime-android and onnxruntime-c package since ONNX Runtime 1.14 runs it
# (https://onnxruntime.ai/docs/reference/compatibility.html), and so do the reduced
# onnxruntime-mobile packages of 1.16 to 1.18, the last ones made.
OPSET = 18
# The IR version that came with opset 18; a newer one would shut out runtimes that run the opset.
IR_VERSION = 8

# A protobuf message ends at 2 GiB; some room is left for the graph itself.
LARGEST_FILE = 2**31 - 2**24

_CHATTY_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def write(
    program: torch.export.ExportedProgram, contract: Contract, precision: Precision, path: Path
) -> None:
    """Write one self-contained ONNX file (opset 18).

    The same program, contract and precision give the same bytes.

    Args:
        program: static shapes, batch norm folded; inputs float32 or uint8, images NCHW.
        contract: names the inputs and outputs, and is stored in the file.
        precision: ``fp16`` stores and computes in half precision between float32 inputs and outputs;
            ``int8-dynamic`` makes layers with int8 weights quantize their inputs as they run.
        path: file to write, exactly there.

    Raises:
        RefusedError: ONNX cannot express some operations; all of them are listed.
        UnsupportedError: the exporter failed, a weight exceeds half precision, or 2 GiB are exceeded.
        InputError: the contract counts other inputs or outputs than the program.
        OutputError: the file cannot be written.
    """
    model = _translate(program)
    _check_counts(model.graph, contract)
    onnx_tidy.tidy(
        model, inputs=[t.name for t in contract.inputs], outputs=[t.name for t in contract.outputs]
    )
    if precision == "fp16":
        onnx_half.to_half(model)
    elif precision == "int8-dynamic":
        onnx_dynamic.to_dynamic(model)
        onnx_tidy.drop_unused(model.graph)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = (
        "mobiledeploy",
        dict(contract.provenance.tools).get("mobiledeploy", ""),
    )
    onnx_metadata.attach(model, contract)
    try:
        path.write_bytes(_serialize(model))
    except OSError as error:
        raise OutputError(
            f"the file cannot be written ({error.strerror})",
            where=str(path),
            hint="Check the folder's permissions and the free space",
        ) from error


def _translate(program: torch.export.ExportedProgram) -> onnx.ModelProto:
    import torch

    try:
        with _quiet():
            # Constant folding and common patterns only: no external files, reports or checks.
            translated = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                external_data=False,
                custom_translation_table=translations(program),
            )
    except ImportError as error:
        raise onnx_refusals.missing_package(error) from error
    except Exception as error:
        with _quiet():
            explained = onnx_refusals.explain(program, OPSET, error)
        raise explained from error
    if translated is None:
        raise UnsupportedError("the ONNX exporter returned nothing", hint="Try another torch version")
    model: onnx.ModelProto = translated.model_proto
    opset = {item.domain: item.version for item in model.opset_import}.get("", 0)
    if opset != OPSET:
        raise UnsupportedError(
            f"the ONNX exporter wrote opset {opset} instead of {OPSET}",
            hint="Use a torch version that mobiledeploy doctor lists as tested",
        )
    return model


def _check_counts(graph: onnx.GraphProto, contract: Contract) -> None:
    for what, found, promised in (
        ("inputs", graph.input, contract.inputs),
        ("outputs", graph.output, contract.outputs),
    ):
        if len(found) != len(promised):
            raise InputError(
                f"the program has {len(found)} {what}, the contract names {len(promised)}",
                where="contract",
                hint=f"Describe every one of the program's {what}",
            )


def _serialize(model: onnx.ModelProto) -> bytes:
    size = model.ByteSize()
    if size > LARGEST_FILE:
        raise UnsupportedError(
            f"the ONNX file would have {size / 2**30:.2f} GiB, one file holds 2 GiB",
            hint="Use --precision fp16 or a smaller model",
        )
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's notes to its own developers stay off stdout and stderr."""
    loggers = [logging.getLogger(name) for name in _CHATTY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
