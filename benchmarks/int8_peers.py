"""Int8 files of ours beside those of peers: same weights, same 100 calibration images, same 1000 images.

``python benchmarks/int8_peers.py [MODEL ...] [--json]``; each peer gets an environment of its own under
build/ on first use, and what it makes is kept there.  All files are run in our environment:

* litert-quantizer's ``static_wi8_ai8`` on our float .tflite, against our full-integer file;
* ONNX Runtime's ``quantize_static`` (QDQ, per-channel, S8S8) on our float .onnx, against our .onnx: both
  as our sessions run them and with ONNX Runtime's own defaults, which saturate on x86 without VNNI;
* PT2E with the stock XNNPACKQuantizer (symmetric, per-channel), as a simulation in PyTorch because it
  gives no file of its own, against our full-integer file.  It knows ReLU but not ReLU6: convolution and
  activation get a Q/DQ pair each.

Ours beats a peer where its top-1 is not lower and more predictions are those of the float file.  SQNR does
not count: an int8 output may cut low scores by design.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import peer
from int8_accuracy import FULL_INTEGER, Variant
from scoring import (
    HEAD,
    HOME,
    Comparison,
    Failed,
    Images,
    Scores,
    arguments,
    calibration,
    compare,
    float_file,
    load,
    scores,
)

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import MobileDeployError
from mobiledeploy.runtimes.formats import open_session
from mobiledeploy.runtimes.session import Session

# Each runs in its peer's environment as: python -c SCRIPT model calibration.npz result
LITERT = """
import sys
import numpy as np
from litert_quantizer import quantizer, recipe
from litert_quantizer.utils import tfl_interpreter_utils as utils
model, images, result = sys.argv[1:]
worker = quantizer.Quantizer(model, recipe.static_wi8_ai8())
interpreter = utils.create_tfl_interpreter(model)
key = interpreter.get_signature_list()
signature = next(iter(key))
name = key[signature]["inputs"][0]
nhwc = np.load(images)["images"].transpose(0, 2, 3, 1)
# A list: it counts the images first, and a generator would be empty after that.
data = {signature: [{name: np.ascontiguousarray(image[None])} for image in nhwc]}
ranges = worker.calibrate(data, num_threads=2)
worker.quantize(ranges).export_model(result, overwrite=True)
"""
ONNX_RUNTIME = """
import sys
import numpy as np, onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
model, images, result = sys.argv[1:]
name = onnx.load(model).graph.input[0].name
class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = iter(np.load(images)["images"])
    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {name: image[None]}
quant_pre_process(model, result + ".prepared", skip_symbolic_shape=True)
quantize_static(
    result + ".prepared", result, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
    reduce_range=False, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
)
"""
XNNPACK = """
import sys
import numpy as np, torch
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
model, images, result = sys.argv[1:]
config = get_symmetric_quantization_config(is_per_channel=True)
with torch.no_grad():
    prepared = prepare_pt2e(torch.export.load(model).module(), XNNPACKQuantizer().set_global(config))
    for image in np.load(images)["images"]:
        prepared(torch.from_numpy(image[None]))
    example = (torch.from_numpy(image[None]),)
    torch.export.save(torch.export.export(convert_pt2e(prepared), example), result)
"""


class Simulation:
    """A quantized ``ExportedProgram`` in PyTorch, as a session."""

    engine = "PyTorch simulation"
    inputs = (TensorSpec("image", (1, 3, -1, -1), "float32", "NCHW", "image"),)
    outputs = (TensorSpec("logits", (1, -1), "float32"),)

    def __init__(self, path: Path) -> None:
        import torch

        import mobiledeploy.quantize.pt2e  # registers the operators of Q/DQ  # noqa: F401

        self._module = torch.export.load(path).module()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference, on one thread."""
        import torch

        torch.set_num_threads(1)
        with torch.inference_mode():
            return [self._module(torch.from_numpy(inputs[0])).numpy()]


class StockOnnx:
    """An ONNX file with ONNX Runtime's own defaults, as a session."""

    engine = "ONNX Runtime, its defaults"

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known = open_session(path, threads=1)
        self.inputs, self.outputs = known.inputs, known.outputs

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference."""
        return self._session.run(None, {self.inputs[0].name: inputs[0]})


@dataclass(frozen=True)
class Way:
    """A way to run a kind of file; ``opener`` None: as we do."""

    name: str
    opener: Callable[[Path], Session] | None = None


AS_IT_RUNS, STOCK, SIMULATED = Way(""), Way(" ORT defaults", StockOnnx), Way(" simulation", Simulation)


@dataclass(frozen=True)
class Peer:
    """Another quantizer.

    Attributes:
        name: of its environment and its rows.
        packages: what is installed.
        script: what it does.
        source: kind of float file it starts from; ``result``: suffix of what it makes.
        ways: how its file is run.
        against: our file that it is compared with, a target.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    source: str
    result: str
    ways: tuple[Way, ...]
    against: str


PEERS = (
    Peer(
        "litert-quantizer", ("litert-quantizer==0.11.0",), LITERT, "tflite", "tflite", (AS_IT_RUNS,), "tflite"
    ),
    Peer(
        "onnxruntime",
        ("onnxruntime==1.32.0", "onnx==1.23.0"),
        ONNX_RUNTIME,
        "onnx",
        "onnx",
        (AS_IT_RUNS, STOCK),
        "onnx",
    ),
    Peer(
        "xnnpack-quantizer",
        ("torch==2.13.0", "torchao==0.18.0", "numpy"),
        XNNPACK,
        "pt2",
        "pt2",
        (SIMULATED,),
        "tflite",
    ),
)


class PeerError(Exception):
    """A peer did not make its file."""


def made_by(item: Peer, model: str, source: Any) -> Path:
    """The peer's int8 file; made once for the same float file, images and script.

    Raises:
        PeerError: says why there is none.
    """
    given, images = peer_input(item, model, source), calibration_file(model, source)
    # torch.export.save does not write the same bytes twice: the TFLite file stands for the weights.
    same = given if given.suffix != ".pt2" else float_file(model, source)
    parts = (same.read_bytes(), images.read_bytes(), " ".join((*item.packages, item.script)).encode())
    key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]
    result = HOME / model / f"{item.name}-{key}.{item.result}"
    if not result.exists():
        _make(item, given, images, result)
    return result


def _make(item: Peer, given: Path, images: Path, result: Path) -> None:
    partial = result.with_name(f"partial-{result.name}")
    try:
        command = [peer(item.name, *item.packages), "-c", item.script, given, images, partial]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=1800
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise PeerError(f"{type(error).__name__}: {error}") from error
    if done.returncode or not partial.exists():
        raise PeerError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    partial.rename(result)
    partial.with_name(f"{partial.name}.prepared").unlink(missing_ok=True)


def peer_input(item: Peer, model: str, source: Any) -> Path:
    """The float model as the peer takes it."""
    if item.source != "pt2":
        return float_file(model, source, item.source)
    import torch

    path = HOME / model / "float.pt2"
    torch.export.save(torch.export.export(source.module, source.example_input), path)
    return path


def calibration_file(model: str, source: Any) -> Path:
    """The calibration images as arrays, NCHW."""
    path = HOME / model / "calibration.npz"
    np.savez(path, images=calibration(source))
    return path


def ours(model: str, source: Any) -> dict[str, Path | Failed]:
    """Our int8 files by target, as they are by default."""
    return Variant().files(model, source, FULL_INTEGER)


def row(model: str, who: str, path: Path, way: Way, exact: Scores) -> Comparison:
    """A file, run in one way, against the float file."""
    opener = way.opener
    opened = None if opener is None else (lambda: opener(path))
    label = f"{who} {path.suffix.removeprefix('.')}{way.name}".replace("pt2 ", "")
    return compare(model, label, exact, scores(path, exact.images, opened, way.name))


def pairs(model: str) -> Iterator[tuple[Comparison | Failed, Comparison | Failed]]:
    """Our row and the peer's, for every peer and way to run."""
    source = load(model)
    exact = scores(float_file(model, source), Images.of(source.preprocessing))
    files = ours(model, source)
    for item in PEERS:
        for way in item.ways:
            mine = _our_row(model, files[item.against], way, exact)
            yield mine, _peer_row(model, source, item, way, exact)


def _our_row(model: str, made: Path | Failed, way: Way, exact: Scores) -> Comparison | Failed:
    if isinstance(made, Failed):
        return made
    return row(model, "ours", made, AS_IT_RUNS if way is SIMULATED else way, exact)


def _peer_row(model: str, source: Any, item: Peer, way: Way, exact: Scores) -> Comparison | Failed:
    try:
        return row(model, item.name, made_by(item, model, source), way, exact)
    except (PeerError, MobileDeployError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return Failed(model, f"{item.name}{way.name}", reason)


def short_of(mine: Comparison | Failed, theirs: Comparison | Failed) -> list[str]:
    """Why ours does not beat the peer's; a peer that made nothing is beaten."""
    if isinstance(theirs, Failed):
        return []
    if isinstance(mine, Failed):
        return [f"no file to set against {theirs.file}"]
    reasons = []
    if mine.top1 < theirs.top1:
        reasons.append(f"top-1 {mine.top1:.1f} < {theirs.top1:.1f} of {theirs.file}")
    if mine.agreement <= theirs.agreement:
        reasons.append(f"agreement {mine.agreement:.1f} <= {theirs.agreement:.1f} of {theirs.file}")
    return reasons


def report(model: str, as_json: bool) -> None:
    """A model's rows, each file once, and the verdict."""
    reasons: list[str] = []
    printed: set[str] = set()
    for both in pairs(model):
        reasons += short_of(*both)
        for item in both:
            if item.file not in printed:
                print(json.dumps(asdict(item)) if as_json else item, flush=True)
            printed.add(item.file)
    if as_json:
        print(json.dumps({"model": model, "short_of": reasons}), flush=True)
    else:
        verdict = f"no: {'; '.join(reasons)}" if reasons else "yes"
        print(f"{model:7s} ours beats all peers: {verdict}", flush=True)


def main() -> None:
    given = arguments(__doc__)
    if not given.json:
        print(HEAD)
    for model in given.models:
        report(model, given.json)


if __name__ == "__main__":
    main()
