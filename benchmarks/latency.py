"""Latency of our MobileNetV1 TFLite file against a peer's, in one process, blocks interleaved.

``python benchmarks/latency.py [OURS PEER]``; without arguments both are converted from the same
untrained network (litert-torch is installed under build/).  One thread, LiteRT, ratio by pair.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from common import BUILD, peer, ratio, run
from conversion import PEER, V1

PAIRS, BLOCK, WARM_UP = 40, 10, 20


def convert_both() -> tuple[Path, Path]:
    """The same network through both converters."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "v1.py").write_text(V1)
    theirs = BUILD / "peer_v1.tflite"
    run([peer("litert-torch", "torch==2.13.0", "litert-torch==0.10.0"), "-c", PEER, BUILD, theirs])
    sys.path.insert(0, str(BUILD))
    from v1 import net  # type: ignore[import-not-found]

    import mobiledeploy

    ours = BUILD / "ours_v1.tflite"
    import torch

    mobiledeploy.convert(net(), target="tflite", example_input=torch.randn(1, 3, 224, 224), output=ours)
    return ours, theirs


def main() -> None:
    ours, theirs = (Path(name) for name in sys.argv[1:3]) if len(sys.argv) > 2 else convert_both()
    samples = interleave(ours, theirs)
    for name, path, figures in zip(("ours", "peer"), (ours, theirs), samples, strict=True):
        print(f"{name}: {path.name}, {path.stat().st_size} bytes, {statistics.median(figures) * 1e3:.2f} ms")
    print(f"ours / peer: {ratio(samples[0], samples[1])}")


def interleave(*paths: Path) -> list[list[float]]:
    """Seconds of an inference of each file, block by block in turn, there and back; one thread."""
    from ai_edge_litert.interpreter import Interpreter

    sessions = [Interpreter(str(path), num_threads=1) for path in paths]
    for session in sessions:
        session.allocate_tensors()
        block(session, WARM_UP)
    samples: list[list[float]] = [[] for _ in sessions]
    order = list(range(len(sessions)))
    for _ in range(PAIRS):
        order.reverse()
        for arm in order:
            samples[arm].append(block(sessions[arm], BLOCK))
    return samples


def block(session: object, count: int) -> float:
    """Median seconds of an inference."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        session.invoke()  # type: ignore[attr-defined]
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
