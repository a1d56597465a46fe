"""How much neighbouring launches of a file differ, by the figure that stands for a launch.

    python benchmarks/launch_spread.py MODEL.tflite [--seconds 40] [--device local] [--neighbour]

Launches are those of a gate of the file against itself. Prints for each figure the difference that half
of the neighbours stay below, and 90% of them.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np
from gate_on_hardware import neighbour

from mobiledeploy.device_tests.gate import Setting
from mobiledeploy.device_tests.gate.measuring import measure
from mobiledeploy.runtimes.formats import read_artifact

FIGURES = {
    "lower decile": lambda samples: np.percentile(samples, 10),
    "median": np.median,
    "mean": np.mean,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--device", default="local")
    parser.add_argument("--neighbour", action="store_true", help="load this machine at random meanwhile")
    given = parser.parse_args()
    artifact = read_artifact(given.file)
    with neighbour() if given.neighbour else contextlib.nullcontext():
        series = measure(
            given.device, (artifact, artifact), Setting(), lambda *_: False, seconds=given.seconds
        )
    if series.error:
        raise SystemExit(str(series.error))
    launches = sorted((item for run in series.runs for item in run.launches), key=lambda item: item.order)
    seen = [item.other_work for arm in series.beside for item in arm if item.other_work is not None]
    beside = f"{np.median(seen):.2f} cores of other work" if seen else "other work not told"
    print(f"{len(launches)} launches on {given.device}, {beside}")
    print(f"{'figure':14} {'half below':>10} {'90% below':>10}")
    for name, figure in FIGURES.items():
        values = [figure(item.samples_ns) for item in launches]
        away = np.expm1(np.abs(np.diff(np.log(values))))
        print(f"{name:14} {np.median(away):10.1%} {np.percentile(away, 90):10.1%}")


if __name__ == "__main__":
    main()
