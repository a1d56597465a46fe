"""The mobile families of torchvision and timm through our TFLite converter, a line each.

``python benchmarks/model_families.py [NAME ...]``; default: every line of model_families.txt.
``--peer`` converts each with litert-torch too (installed under build/, with timm and torchvision).
Seconds are conversion alone (export, lowering, writing), imports left out, for both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

from common import BUILD, peer

from mobiledeploy.errors import MobileDeployError

NAMES = Path(__file__).with_suffix(".txt").read_text().split()
PEER = """
import sys, time, warnings, logging
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import torch
for op in ("nms", "qnms"):
    torch.library.define(f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import litert_torch
library, name = sys.argv[1].split(":")
if library == "timm":
    import timm
    model = timm.create_model(name)
    size = model.pretrained_cfg["input_size"]
else:
    import torchvision
    extra = {"weights_backbone": None} if ("lraspp" in name or "deeplab" in name) else {}
    model, size = torchvision.models.get_model(name, weights=None, **extra), (3, 224, 224)
start = time.perf_counter()
litert_torch.convert(model.eval(), (torch.randn(1, *size),)).export(sys.argv[2])
print("SECONDS", time.perf_counter() - start)
"""


def ours(name: str) -> tuple[float, str]:
    """Seconds, and the verification's summary."""
    from mobiledeploy.contract import Contract
    from mobiledeploy.converters import write
    from mobiledeploy.converters.describe import describe
    from mobiledeploy.converters.export import export
    from mobiledeploy.deploy.verification import verify
    from mobiledeploy.models import load

    source = load(name, weights="random")
    path = BUILD / "family.tflite"
    start = time.perf_counter()
    program = export(source)
    contract: Contract = describe(source, program, "tflite")
    write("tflite", program, contract, "fp32", path)
    seconds = time.perf_counter() - start
    report = verify(path, source)
    worst = min(output.sqnr_db for output in report.outputs)
    return seconds, f"{'parity' if report.passed else 'DIFFERS'} {worst:5.0f} dB"


def theirs(name: str) -> float | None:
    """Seconds, None if it fails."""
    python = peer("litert-torch", "torch==2.13.0", "litert-torch==0.10.0")
    marker = python.parents[1] / ".families"
    if not marker.exists():
        packages = ["timm==1.0.31", "torchvision==0.29.2"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", *packages], check=True)
        marker.touch()
    command = [str(python), "-c", PEER, name, str(BUILD / "family_peer.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    return float(lines[0].split()[1]) if lines else None


def main() -> None:
    warnings.simplefilter("ignore")
    BUILD.mkdir(parents=True, exist_ok=True)
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or NAMES
    mine, pairs, good = [], [], 0
    for name in names:
        try:
            seconds, word = ours(name)
        except MobileDeployError as error:
            print(f"{name:44s} FAILS {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            continue
        mine.append(seconds)
        good += word.startswith("parity")
        line = f"{name:44s} {seconds:6.2f} s  {word}"
        if "--peer" in sys.argv:
            other = theirs(name)
            line += (
                "  peer fails" if other is None else f"  peer {other:6.2f} s, ours/peer {seconds / other:.2f}"
            )
            pairs += [] if other is None else [seconds / other]
        print(line, flush=True)
    print(f"{good} of {len(names)} with parity, median {statistics.median(mine):.2f} s")
    if pairs:
        print(
            f"ours / litert-torch: median {statistics.median(pairs):.2f} over {len(pairs)} that it converts"
        )


if __name__ == "__main__":
    main()
