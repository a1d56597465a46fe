"""Whole-process TFLite conversion of MobileNetV1 1.0-224, verification included.

Prints wall time as a ratio to the floor (importing torch and building the model), peak memory, and
the time of ``--help``; with ``--peer`` also litert-torch's (installs 1.2 GB under build/).
"""

from __future__ import annotations

import statistics
import sys

from common import BUILD, MOBILEDEPLOY, Process, alternate, peer, ratio, run

ROUNDS = 5
FLOOR = "import torch; from mobiledeploy.models.mobilenet_v1 import MobileNetV1; MobileNetV1().eval()"
# The peer gets the definition as a file: mobiledeploy is not installed in its environment.
PEER = """
import sys, torch, litert_torch
sys.path.insert(0, sys.argv[1])
from v1 import net
litert_torch.convert(net(), (torch.randn(1, 3, 224, 224),)).export(sys.argv[2])
"""
V1 = """
from torch import nn
def block(i, o, k, s, g):
    return [nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), nn.ReLU6()]
def net():
    layers, width = block(3, 32, 3, 2, 1), 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5
    plan += [(1024, 2), (1024, 1)]
    for out, stride in plan:
        layers += block(width, width, 3, stride, width) + block(width, out, 1, 1, 1)
        width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000)).eval()
"""


def main() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    convert = [
        MOBILEDEPLOY,
        "convert",
        "mobilenet_v1",
        "--weights",
        "random",
        "--target",
        "tflite",
        "-o",
        BUILD,
    ]
    arms = [lambda: run([sys.executable, "-c", FLOOR]), lambda: run(convert)]
    if "--peer" in sys.argv:
        (BUILD / "v1.py").write_text(V1)
        python = peer("litert-torch", "torch==2.13.0", "litert-torch==0.10.0")
        arms.append(lambda: run([python, "-c", PEER, BUILD, BUILD / "peer_v1.tflite"]))
    names = ["import torch, build model", "mobiledeploy convert", "litert-torch 0.10.0"]
    figures = alternate(ROUNDS, *arms)
    floor = [process.seconds for process in figures[0]]
    print("whole process, MobileNetV1 1.0-224 to TFLite     seconds   ratio to floor       peak MB")
    for name, processes in zip(names, figures, strict=False):
        print(_row(name, processes, floor))
    helps = [run([MOBILEDEPLOY, "--help"]).seconds for _ in range(ROUNDS + 1)][1:]
    print(f"mobiledeploy --help {statistics.median(helps):.2f} s")


def _row(name: str, processes: list[Process], floor: list[float]) -> str:
    seconds = [process.seconds for process in processes]
    peak = max(process.peak_mb for process in processes)
    return f"{name:48s} {statistics.median(seconds):7.2f}   {ratio(seconds, floor):20s} {peak:7.0f}"


if __name__ == "__main__":
    main()
