"""Writing Core ML packages: what goes in comes out of the file, and unfit programs are refused."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mobiledeploy.contract import ChannelOrder, Contract, Precision, Preprocessing, Provenance, TensorSpec
from mobiledeploy.converters import to_coreml
from mobiledeploy.errors import InputError, OutputError, RefusedError, UnsupportedError
from mobiledeploy.runtimes.coreml_file import read
from mobiledeploy.runtimes.mil_reference.session import open_session

SHAPE = (1, 3, 16, 16)
LABELS = ("cat", "crane", "dog", "crane", "emu")
# A constant below ten elements is stored in the program, a larger one in the weight file.
CLASSES = len(LABELS)


class Classifier(nn.Module):
    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 8, 3, stride=2), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(self.features(x).mean((2, 3)), 1))


class RawPixels(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.module((pixels.to(torch.float32) - 117.3) * (1 / 58.1))


def classifier(channels: int = 3) -> nn.Module:
    torch.manual_seed(1)
    return Classifier(channels).eval()


def contract(
    labels: tuple[str, ...] = LABELS, *, dtype: str = "float32", channels: ChannelOrder = "RGB"
) -> Contract:
    shape = (1, 1 if channels == "L" else 3, 16, 16)
    return Contract(
        inputs=(TensorSpec("image", shape, dtype, "NCHW", "image"),),
        outputs=(TensorSpec("scores", (1, CLASSES), "float32", "", "logits"),),
        task="image-classification",
        preprocessing=Preprocessing(16, 16, channels=channels),
        labels=labels,
        provenance=Provenance("tiny", "random", "", "BSD-3-Clause", (("torch", "2"),)),
    )


def export(module: nn.Module, x: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module, (x,))


def digest(package: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(item for item in package.rglob("*") if item.is_file()):
        total.update(str(file.relative_to(package)).encode() + file.read_bytes())
    return total.hexdigest()


def test_names_contract_and_labels_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(classifier(), torch.rand(SHAPE)), contract(), "fp32", path)
    contents = read(path)
    assert contents.contract == contract()
    assert [(item.name, item.shape, item.dtype) for item in contents.inputs] == [("image", SHAPE, "float32")]
    assert [(item.name, item.shape) for item in contents.outputs] == [("scores", (1, CLASSES))]
    # A classifier returns a dictionary: labels that occur twice have to differ.
    assert contents.labels == ("cat", "crane (1)", "dog", "crane (3)", "emu")
    assert contents.producer.startswith("coremltools ")
    assert contents.producer.endswith("needs iOS 15 / macOS 12")


def test_metadata_says_what_the_contract_says(tmp_path: Path) -> None:
    from coremltools.models.utils import load_spec

    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(classifier(), torch.rand(SHAPE)), contract(), "fp32", path)
    description = load_spec(str(path)).description
    assert description.metadata.license == "BSD-3-Clause"
    assert "tiny" in description.metadata.shortDescription
    assert "RGB" in description.input[0].shortDescription
    assert description.predictedFeatureName == "classLabel"
    assert [item.name for item in description.output] == ["classLabel", "classLabel_probs", "scores"]


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_labels_that_do_not_fit_make_no_classifier(labels: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(classifier(), torch.rand(SHAPE)), contract(labels), "fp32", path)
    assert read(path).labels == ()
    assert "classify" not in {op.kind for op in read(path).ops}


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("fp16", "float16")])
def test_precision_is_that_of_arithmetic_and_weights(
    precision: Precision, dtype: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(classifier(), torch.rand(SHAPE)), contract(), precision, path)
    contents = read(path)
    (conv,) = (op for op in contents.ops if op.kind == "conv")
    assert (conv.inputs, conv.outputs, conv.weights) == ((dtype,), (dtype,), dtype)
    assert conv.mult_adds == 7 * 7 * 8 * 3 * 9
    assert contents.parameters == sum(item.numel() for item in classifier().parameters())
    assert contents.weight_bytes == contents.parameters * np.dtype(dtype).itemsize
    assert {item.dtype for item in contents.inputs + contents.outputs} == {"float32"}


@pytest.mark.parametrize("channels", ["RGB", "BGR", "L"])
def test_image_input_takes_raw_pixels(channels: ChannelOrder, tmp_path: Path) -> None:
    count = 1 if channels == "L" else 3
    module = RawPixels(classifier(count)).eval()
    pixels = torch.randint(0, 256, (1, count, 16, 16), dtype=torch.uint8)
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(module, pixels), contract(dtype="uint8", channels=channels), "fp32", path)
    session = open_session(path, threads=1)
    (spec,) = session.inputs
    assert (spec.shape, spec.dtype, spec.layout) == ((1, 16, 16, count), "uint8", "NHWC")
    (found,) = session.run([pixels.permute(0, 2, 3, 1).numpy()])
    np.testing.assert_allclose(found, module(pixels).detach().numpy(), atol=1e-5)


def test_the_given_program_stays_as_it_is(tmp_path: Path) -> None:
    program = export(RawPixels(classifier()).eval(), torch.zeros(SHAPE, dtype=torch.uint8))
    before = str(program)
    to_coreml.write(program, contract(dtype="uint8"), "fp16", tmp_path / "m.mlpackage")
    assert str(program) == before


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    to_coreml.write(export(classifier(), torch.rand(SHAPE)), contract(), "fp16", tmp_path / "m.mlpackage")
    assert capfd.readouterr() == ("", "")


def test_in_place_writes_are_seen_by_later_readers(tmp_path: Path) -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            y.add_(1).relu_()
            return (y * 3).mean((2, 3)) @ torch.ones(3, CLASSES)

    x = torch.randn(SHAPE)
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(InPlace(), x), contract(()), "fp32", path)
    (found,) = open_session(path, threads=1).run([x.numpy()])
    np.testing.assert_allclose(found, InPlace()(x).numpy(), atol=1e-5)


class Quantized(nn.Module):
    """int8 codes around a convolution, as quantization leaves them in a program."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        weights = torch.randn(8, 3, 3, 3)
        self.register_buffer("scale", weights.abs().amax((1, 2, 3)) / 127)
        self.register_buffer("zero", torch.zeros(8, dtype=torch.int64))
        self.register_buffer("codes", (weights / self.scale.view(-1, 1, 1, 1)).round().to(torch.int8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lib = torch.ops.quantized_decomposed
        weights = lib.dequantize_per_channel(self.codes, self.scale, self.zero, 0, -127, 127, torch.int8)
        y = torch.relu(nn.functional.conv2d(self.rounded(x, 0.02, -5), weights))
        return self.rounded(y, 0.06, -128)

    def rounded(self, x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
        lib = torch.ops.quantized_decomposed
        codes = lib.quantize_per_tensor(x, scale, zero, -128, 127, torch.int8)
        return lib.dequantize_per_tensor(codes, scale, zero, -128, 127, torch.int8)


def test_quantized_program_keeps_its_codes(tmp_path: Path) -> None:
    from torch.ao.quantization.fx import _decomposed  # noqa: F401  (declares the operations)

    module, x = Quantized().eval(), torch.randn(SHAPE)
    expected = module(x).numpy()
    said = Contract((TensorSpec("x", SHAPE, "float32"),), (TensorSpec("y", expected.shape, "float32"),))
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(module, x), said, "fp32", path)
    contents = read(path)
    assert contents.producer.endswith("needs iOS 17 / macOS 14")
    assert {op.weights for op in contents.ops if op.kind == "conv"} == {"int8"}
    (found,) = open_session(path, threads=1).run([x.numpy()])
    # A sum that lies on the edge between two codes may fall to either side.
    assert np.abs(found - expected).max() <= 0.06 + 1e-6
    assert np.mean(found != expected) < 0.002


def test_lowest_system_that_has_the_operations(tmp_path: Path) -> None:
    module, x = nn.PixelUnshuffle(2), torch.randn(SHAPE)
    said = Contract((TensorSpec("x", SHAPE, "float32"),), (TensorSpec("y", (1, 12, 8, 8), "float32"),))
    path = tmp_path / "m.mlpackage"
    to_coreml.write(export(module, x), said, "fp16", path)
    contents = read(path)
    assert contents.producer.endswith("needs iOS 16 / macOS 13")
    assert {item.dtype for item in contents.inputs + contents.outputs} == {"float32"}


class Products(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.i0(x.prod(1))


def test_all_unsupported_operations_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    program = export(nn.Sequential(nn.ReLU(), nn.Sequential(Products())), torch.rand(SHAPE))
    with pytest.raises(RefusedError) as refused:
        to_coreml.write(program, contract(()), "fp32", path)
    rows = refused.value.refusals
    assert [row.op for row in rows] == ["aten.prod.dim_int", "aten.i0.default"]
    assert [row.shape for row in rows] == [SHAPE, (1, 16, 16)]
    assert {row.module for row in rows} == {"1.0"}
    assert not path.exists()


def test_what_coremltools_cannot_convert_is_one_line(tmp_path: Path) -> None:
    module = nn.Upsample(scale_factor=1.7, mode="bilinear")
    said = Contract((TensorSpec("x", SHAPE, "float32"),), (TensorSpec("y", (1, 3, 27, 27), "float32"),))
    with pytest.raises(UnsupportedError) as refused:
        to_coreml.write(export(module, torch.rand(SHAPE)), said, "fp32", tmp_path / "m.mlpackage")
    assert "\n" not in str(refused.value)
    assert "upsample_bilinear2d" in str(refused.value)


def test_contract_of_another_program(tmp_path: Path) -> None:
    said = Contract((), (TensorSpec("y", (1, CLASSES), "float32"),))
    with pytest.raises(InputError, match="1 inputs, its contract 0"):
        to_coreml.write(export(classifier(), torch.rand(SHAPE)), said, "fp32", tmp_path / "m.mlpackage")


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        to_coreml.write(
            export(classifier(), torch.rand(SHAPE)), contract(), "fp32", tmp_path / "file" / "m.mlpackage"
        )


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
import test_to_coreml as t
for precision in ("fp32", "fp16"):
    path = Path(sys.argv[2]) / f"{precision}.mlpackage"
    t.to_coreml.write(t.export(t.classifier(), torch.rand(t.SHAPE)), t.contract(), precision, path)
    print(t.digest(path))
"""


@pytest.mark.slow
def test_same_input_same_bytes(tmp_path: Path) -> None:
    found = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().split()) == 2


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.2)])
def test_mobilenet_v2_on_real_images(
    precision: Precision, tolerance: float, data_dir: Path, tmp_path: Path
) -> None:
    from mobiledeploy.models.mobilenet_v2 import MobileNetV2

    module = MobileNetV2().eval()
    state = torch.load(data_dir / "weights" / "mobilenet_v2-b0353104.pth", weights_only=True)  # noqa: TID251
    module.load_state_dict(state)
    shape = (1, 3, 224, 224)
    said = Contract(
        (TensorSpec("image", shape, "float32", "NCHW", "image"),),
        (TensorSpec("logits", (1, 1000), "float32", "", "logits"),),
        task="image-classification",
        labels=_class_names(data_dir),
    )
    path = tmp_path / "v2.mlpackage"
    to_coreml.write(export(module, torch.rand(shape)), said, precision, path)
    session = open_session(path)
    agreed = 0
    files = sorted((data_dir / "images" / "imagenet1k_sample_1000").rglob("*.*"))[:50]
    for file in files:
        x = _pixels(file)
        with torch.no_grad():
            expected = module(torch.from_numpy(x)).numpy()
        (found,) = session.run([x])
        assert np.abs(found - expected).max() <= tolerance
        agreed += int(found.argmax() == expected.argmax())
    assert agreed == len(files)


def _pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB").resize((224, 224)), "float32") / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((pixels - mean) / std).transpose(2, 0, 1)[None].astype("float32")


def _class_names(data_dir: Path) -> tuple[str, ...]:
    with (data_dir / "imagenet1k_classes.csv").open(newline="") as file:
        return tuple(row["name"] for row in csv.DictReader(file))
