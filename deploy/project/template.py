"""The ``deploy.toml`` that ``mobiledeploy init`` writes: commented, and right as it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

SCHEMA_FILE = ".mobiledeploy/deploy.schema.json"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the user said already; None: a comment shows how it is written."""

    model: str = "mobilenet_v2"
    weights: str | None = None
    width: float | None = None
    resolution: int | None = None
    targets: Sequence[str] = ("tflite",)
    calibration: str | None = None
    images: str | None = None
    labels: str | None = None
    devices: Sequence[str] = ()
    platforms: Sequence[str] = ()


def render(known: Beginning) -> str:
    """The text of the file."""
    return f"""#:schema {SCHEMA_FILE}
# What is deployed, from the checkpoint to the packages. `mobiledeploy run` does all of it, and does again
# only what changed; `mobiledeploy run --dry-run` shows what that would be. Every other command takes from
# here what it is not told. Paths are relative to this file and stay in its folder.

[model]
# A zoo name (`mobiledeploy models`), package.module:callable, timm:NAME, torchvision:NAME or a .pt2 file.
name = {_text(known.model)}
# A state dict (.pth, .safetensors), or "random". Left out: the published ones.
{_line("weights", known.weights, "checkpoint.pth")}
{_line("width", known.width, 0.5)}
{_line("resolution", known.resolution, 224)}
# imagenet, inception, unit, lite, raw, or a table. Left out: the model's own.
# preprocessing = "imagenet"
# The name of one class a line. Left out: the model's own.
# class-names = "classes.txt"
# Of a model of your own: what its outputs are for.
# task = "image-classification"
# Further files that the model's own code reads.
# reads = ["config.json"]

[convert]
# tflite, onnx, coreml
targets = {_text(known.targets)}
# fp32, fp16, int8, int16x8, int8-dynamic, int8-weights
precision = "int8"
# uint8 takes raw pixels; of an int8 TFLite file: its codes.
# input-dtype = "uint8"
# output-dtype = "float32"
# Keep the layers that int8 hurts most in float until top-1 drops by no more points than this.
# max-drop = 0.5
# Folder of all results.
output = "build"

[data]
# A folder of 10 images or more that show the quantizer the activations, or "none".
{_line("calibration", known.calibration or "none", "")}
# Labelled images: one folder per class, or any folder and a CSV of file names and class indices.
{_line("images", known.images, "validation")}
{_line("labels", known.labels, "validation.csv")}

# How the model is quantized (docs/quantization.md). Left out: the best that is known.
# [recipe]
# rounding = "nearest"
# exempt = ["classifier"]

[measure]
# local, adb:SERIAL, ssh:[USER@]HOST[:PORT], names of devices.toml, kind:KIND of a lab
devices = {_text(known.devices)}
# Devices that accuracy is measured on, too, beside this host.
# evaluate-on = ["pixel"]
# The lab that has the devices.
# scheduler = "tcp://10.0.0.5:8786"
# threads = 1
# launches = 4

# Limits that each file has to keep before it is packaged (docs/gate.md).
[gates]
max-size = "50MB"
# What the others compare with: "float" (the model's own float file), or a file or folder of a release.
# baseline = "float"
# max-top1-drop = 2
# max-regression = "3%"  # or "calibrated"
# max-median = "15ms"
# full-integer = true
# reports = ["junit", "markdown"]

# Libraries for apps: android, ios, linux. {_packages(known.platforms)}"""


def _packages(platforms: Sequence[str]) -> str:
    shown = "".join(f'\n[packages.{name}]\n# name = "FlowerClassifier"\n' for name in platforms)
    return f"\n{shown}" if shown else '\n# [packages.android]\n# name = "FlowerClassifier"\n'


def _line(key: str, value: object, example: object) -> str:
    return f"# {key} = {_text(example)}" if value is None else f"{key} = {_text(value)}"


def _text(value: object) -> str:
    """As TOML writes it: of text, numbers and lists of text, that is JSON's way but for one character."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_text, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
