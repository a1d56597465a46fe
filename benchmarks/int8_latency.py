"""Latency of our full-integer TFLite file against its float twin and a peer's int8 file of the same network.

``python benchmarks/int8_latency.py [MODEL]``, by default v1.  One thread, LiteRT, one process, blocks
interleaved, ratio by pair; beside it how much of each file XNNPACK computes, and which integer
instructions this processor has.  The peer is litert-quantizer, installed under build/ on first use.
"""

from __future__ import annotations

import platform
import statistics
import sys
from pathlib import Path

from accuracy import MODELS
from common import ratio
from int8_peers import PEERS, PeerError, made_by, ours
from latency import interleave
from scoring import Failed, float_file, load

from mobiledeploy.runtimes.tflite_session import delegated_share

# What multiplies 8 bits: on x86 without VNNI in 16 bits, on ARM without dot products one by one.
INSTRUCTIONS = {"x86": ("avx2", "avx512_vnni", "avx_vnni"), "arm": ("asimddp", "i8mm")}


def processor() -> str:
    """Which of the instructions that matter for int8 there are, by the system's word."""
    words = Path("/proc/cpuinfo")
    if not words.exists():
        return "unknown"
    flags = set(words.read_text().split())
    family = "x86" if platform.machine() in {"x86_64", "AMD64"} else "arm"
    return ", ".join(f"{name} {'yes' if name in flags else 'no'}" for name in INSTRUCTIONS[family])


def files(model: str) -> dict[str, Path]:
    """Ours in int8, its float twin, and the peer's if there is one."""
    source = load(model)
    mine = ours(model, source)["tflite"]
    if isinstance(mine, Failed):
        raise SystemExit(str(mine))
    found = {"int8": mine, "float": float_file(model, source)}
    (rival,) = (item for item in PEERS if item.name == "litert-quantizer")
    try:
        found[rival.name] = made_by(rival, model, source)
    except PeerError as error:
        print(f"{rival.name} failed: {error}")
    return found


def main() -> None:
    (model,) = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or ["v1"]
    if model not in MODELS:
        raise SystemExit(f"{model} is not one of {', '.join(MODELS)}")
    found = files(model)
    samples = dict(zip(found, interleave(*found.values()), strict=True))
    print(f"{model}, one thread; processor: {processor()}")
    for name, path in found.items():
        print(
            f"{name:16s} {statistics.median(samples[name]) * 1e3:7.2f} ms {path.stat().st_size:9d} bytes,"
            f" {delegated_share(path):4.0%} of the operators delegated to XNNPACK"
        )
    for name in list(found)[1:]:
        print(f"int8 / {name}: {ratio(samples['int8'], samples[name])}")


if __name__ == "__main__":
    main()
