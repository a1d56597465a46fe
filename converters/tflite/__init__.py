"""TFLite straight from ``torch.export``: lower, clean up, serialise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobiledeploy.contract import METADATA_KEY, Contract, Precision
from mobiledeploy.errors import UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram


def write(program: ExportedProgram, contract: Contract, precision: Precision, path: Path) -> None:
    """Write the program as a .tflite file at exactly ``path``.

    Raises:
        RefusedError: operations that TFLite cannot express, all at once.
        UnsupportedError: the weights do not fit the precision or the format.
        OSError: the file cannot be written.
    """
    from mobiledeploy.converters.tflite.borders import promise_dtypes
    from mobiledeploy.converters.tflite.flatbuffer import MAX_BYTES, serialise, size_of_constants
    from mobiledeploy.converters.tflite.half import store_half
    from mobiledeploy.converters.tflite.int8_weights import use_dynamic_kernels, widen_weights
    from mobiledeploy.converters.tflite.integer import is_quantized, to_integer
    from mobiledeploy.converters.tflite.lower import lower
    from mobiledeploy.converters.tflite.metadata import append_labels, model_metadata
    from mobiledeploy.converters.tflite.passes import optimise

    graph = lower(program, contract)
    optimise(graph)
    if is_quantized(graph):
        to_integer(graph)
        promise_dtypes(graph, contract)
    elif precision == "fp16":
        store_half(graph)
    elif precision == "int8-dynamic":
        use_dynamic_kernels(graph)
    elif precision == "int8-weights":
        widen_weights(graph)
    name = contract.provenance.model or "model"
    if size_of_constants(graph) >= MAX_BYTES:
        raise UnsupportedError("its weights exceed the 2 GB of a TFLite file", where=name, hint="Use ONNX")
    metadata = {"TFLITE_METADATA": model_metadata(contract), METADATA_KEY: contract.to_json().encode()}
    path.write_bytes(append_labels(serialise(graph, f"{name}, by mobiledeploy", metadata), contract))
