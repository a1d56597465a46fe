"""How often a gate errs on a real device.

    python benchmarks/gate_on_hardware.py --slower 0 --gates 300 --neighbour
    python benchmarks/gate_on_hardware.py --slower 5 --gates 200 --seconds 60 --neighbour
    python benchmarks/gate_on_hardware.py --slower 1 --gates 20 --device board --tolerance 0.5 --channels 32

Both files are depthwise separable layers of one size, repeated; the candidate has as many more as it
shall be slower (an emulated device wants small layers, and few ``--runs``).  Prints a line for every gate,
then the shares with 95% intervals (Wilson), and the seconds that each outcome took.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from common import BUILD

from mobiledeploy.device_tests.gate import Setting, gate, parse_gate
from mobiledeploy.device_tests.statistics import wilson
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing

REPEATED = 20
SIDE = 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--slower", type=int, default=0, help="percent")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of a gate")
    parser.add_argument("--tolerance", type=float, default=3.0, help="percent")
    parser.add_argument("--device", default="local")
    parser.add_argument("--runs", type=int, help="inferences of a launch")
    parser.add_argument("--channels", type=int, default=128, help="of each layer")
    parser.add_argument("--neighbour", action="store_true", help="load this machine at random meanwhile")
    given = parser.parse_args()
    # 1% wants 100 layers, 5% does with 20.
    layers = REPEATED if given.slower * REPEATED % 100 == 0 else 100
    baseline = network(layers, given.channels)
    candidate = network(layers + given.slower * layers // 100, given.channels)
    timing = Setting().timing if given.runs is None else Timing(1, 0.0, given.runs, 0.0)
    setting = Setting(time_limit=given.seconds, timing=timing)
    limit = parse_gate("max-regression", f"{given.tolerance}%")
    took: dict[str, list[float]] = defaultdict(list)
    with neighbour() if given.neighbour else contextlib.nullcontext():
        for number in range(1, given.gates + 1):
            start = time.monotonic()
            report = gate(given.device, candidate, [limit], baseline=baseline, setting=setting)
            took[report.outcome].append(time.monotonic() - start)
            print(f"{number} {took[report.outcome][-1]:.1f} s: {report.gates[0].reason}", flush=True)
    print(f"{given.slower}% slower, tolerance {given.tolerance}%, at most {given.seconds:.0f} s of launches")
    for outcome, seconds in sorted(took.items()):
        shown = wilson(len(seconds), given.gates)
        print(
            f"{outcome:13} {len(seconds):4} of {given.gates} ({shown.low:.1%} to {shown.high:.1%}), "
            f"{statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s"
        )


def network(layers: int, channels: int) -> Artifact:
    """A TFLite file of that many equal depthwise separable layers, untrained."""
    path = BUILD / f"separable_{layers}_{channels}.tflite"
    if not path.exists():
        import torch
        from torch import nn

        import mobiledeploy

        def layer() -> nn.Module:
            depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
            return nn.Sequential(depthwise, nn.ReLU6(), nn.Conv2d(channels, channels, 1), nn.ReLU6())

        torch.manual_seed(0)
        net = nn.Sequential(*(layer() for _ in range(layers))).eval()
        BUILD.mkdir(parents=True, exist_ok=True)
        mobiledeploy.convert(
            net, target="tflite", example_input=torch.randn(1, channels, SIDE, SIDE), output=path
        )
    return read_artifact(path)


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Another process that takes a core at random: 0.7 s, then none for 1 s, on average."""
    other = multiprocessing.get_context("spawn").Process(target=load, daemon=True)
    other.start()
    try:
        yield
    finally:
        other.terminate()
        other.join()


def load() -> None:
    random = np.random.default_rng()
    while True:
        until = time.monotonic() + random.exponential(0.7)
        while time.monotonic() < until:
            pass
        time.sleep(random.exponential(1.0))


if __name__ == "__main__":
    main()
