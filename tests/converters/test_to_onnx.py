"""ONNX files: the numbers of PyTorch, nothing stray inside, the same bytes each time."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from mobiledeploy.contract import (
    METADATA_KEY,
    Contract,
    Precision,
    Preprocessing,
    Provenance,
    TensorSpec,
)
from mobiledeploy.converters import to_onnx
from mobiledeploy.converters.export import export
from mobiledeploy.converters.raw_pixels import raw_pixels
from mobiledeploy.errors import InputError, OutputError, RefusedError, UnsupportedError
from mobiledeploy.runtimes.onnx_session import open_session
from mobiledeploy.source import SourceModel

PREPROCESSING = Preprocessing(8, 8, resize_to=10, mean=(127.5,) * 3, std=(127.5,) * 3)


class Tiny(nn.Module):
    """The layers of a MobileNet, small."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features[0](x)
        x = x + self.features[1](x)
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits


class Calls(nn.Module):
    """A model that is one function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> object:
        return self.function(*tensors)  # type: ignore[operator]


def tiny() -> SourceModel:
    torch.manual_seed(0)
    model = Tiny()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    example = (torch.linspace(-1, 1, 192).reshape(1, 3, 8, 8),)
    return SourceModel(model.eval(), example, "image-classification", PREPROCESSING, tuple("abcde"))


def contract_for(source: SourceModel, outputs: tuple[torch.Tensor, ...], names: tuple[str, ...]) -> Contract:
    image = source.preprocessing is not None
    return Contract(
        inputs=tuple(
            TensorSpec(
                f"in{index}",
                tuple(tensor.shape),
                str(tensor.dtype).removeprefix("torch."),
                "NCHW" if image else "",
                "image" if image else "",
            )
            for index, tensor in enumerate(source.example_input)
        ),
        outputs=tuple(
            TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in zip(names, outputs, strict=True)
        ),
        task=source.task,
        preprocessing=source.preprocessing,
        labels=source.labels,
        provenance=Provenance(model="tiny", weights="random"),
    )


def expected(source: SourceModel) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        result = source.module(*source.example_input)
    return result if isinstance(result, tuple) else (result,)


def convert(
    source: SourceModel, path: Path, precision: Precision = "fp32", names: tuple[str, ...] = ()
) -> onnx.ModelProto:
    outputs = expected(source)
    names = names or tuple(f"out{index}" for index in range(len(outputs)))
    to_onnx.write(export(source), contract_for(source, outputs, names), precision, path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(path: Path, *inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {spec.name: tensor.numpy() for spec, tensor in zip(session.get_inputs(), inputs, strict=True)}
    return list(session.run(None, feeds))


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto]:
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    return path, convert(tiny(), path, names=("logits",))


@pytest.fixture(scope="module")
def fp16(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto]:
    path = tmp_path_factory.mktemp("onnx") / "tiny16.onnx"
    return path, convert(tiny(), path, "fp16", names=("logits",))


def test_computes_what_pytorch_computes(fp32: tuple[Path, onnx.ModelProto]) -> None:
    source = tiny()
    np.testing.assert_allclose(run(fp32[0], *source.example_input)[0], expected(source)[0], atol=1e-6)


def test_holds_only_what_computes(fp32: tuple[Path, onnx.ModelProto]) -> None:
    assert kinds(fp32[1]) == {"Conv": 2, "Clip": 1, "Add": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}


def test_every_constant_is_read(fp32: tuple[Path, onnx.ModelProto]) -> None:
    read = {name for node in fp32[1].graph.node for name in node.input}
    assert {item.name for item in fp32[1].graph.initializer} <= read


def test_is_of_the_opset_for_mobile_runtimes(fp32: tuple[Path, onnx.ModelProto]) -> None:
    assert [(item.domain, item.version) for item in fp32[1].opset_import] == [("", to_onnx.OPSET)]
    assert fp32[1].ir_version == 8


def test_weights_and_nodes_are_named_by_pytorch_module(fp32: tuple[Path, onnx.ModelProto]) -> None:
    graph = fp32[1].graph
    weights = {item.name for item in graph.initializer}
    assert {"features.0.0.weight", "features.1.0.weight", "classifier.1.weight"} <= weights
    gemm = next(node for node in graph.node if node.op_type == "Gemm")
    assert gemm.name == "classifier.1/Gemm"
    assert len({node.name for node in graph.node}) == len(graph.node)


def test_inputs_and_outputs_are_named_by_the_contract(fp32: tuple[Path, onnx.ModelProto]) -> None:
    assert [item.name for item in fp32[1].graph.input] == ["in0"]
    assert [item.name for item in fp32[1].graph.output] == ["logits"]


def test_contract_and_standard_image_keys_are_in_the_metadata(fp32: tuple[Path, onnx.ModelProto]) -> None:
    source = tiny()
    found = {item.key: item.value for item in fp32[1].metadata_props}
    assert Contract.from_json(found[METADATA_KEY]) == contract_for(source, expected(source), ("logits",))
    assert found["labels"].splitlines() == list("abcde")
    assert found["Image.BitmapPixelFormat"] == "Rgb8"
    assert found["Image.NominalPixelRange"] == "Normalized_1_1"
    image = fp32[1].graph.input[0]
    assert image.type.denotation == "IMAGE"
    assert [axis.denotation for axis in image.type.tensor_type.shape.dim][:2] == [
        "DATA_BATCH",
        "DATA_CHANNEL",
    ]


def test_says_nothing_of_this_machine(fp32: tuple[Path, onnx.ModelProto]) -> None:
    data = fp32[0].read_bytes()
    for trace in (Path(__file__).name, "site-packages", "stack_trace", "pkg.", ".py"):
        assert trace.encode() not in data, trace


def test_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    convert(tiny(), tmp_path / "tiny.onnx")
    assert capfd.readouterr() == ("", "")


def test_half_precision_keeps_float_inputs_and_outputs(fp16: tuple[Path, onnx.ModelProto]) -> None:
    graph = fp16[1].graph
    ends = [item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)]
    assert ends == [onnx.TensorProto.FLOAT] * 2
    assert {item.data_type for item in graph.initializer} == {onnx.TensorProto.FLOAT16}
    assert kinds(fp16[1])["Cast"] == 2


def test_half_precision_is_near_and_half_the_size(
    fp16: tuple[Path, onnx.ModelProto], fp32: tuple[Path, onnx.ModelProto]
) -> None:
    source = tiny()
    np.testing.assert_allclose(run(fp16[0], *source.example_input)[0], expected(source)[0], atol=5e-3)
    sizes = [sum(len(item.raw_data) for item in model.graph.initializer) for _, model in (fp16, fp32)]
    assert sizes[0] * 2 == sizes[1]


def test_weight_beyond_half_precision_is_named(tmp_path: Path) -> None:
    source = tiny()
    with torch.no_grad():
        source.module.get_submodule("classifier.1").weight[2, 3] = 1e5
    with pytest.raises(UnsupportedError, match=r"classifier\.1\.weight.*100000.*65504"):
        convert(source, tmp_path / "tiny.onnx", "fp16")
    assert not (tmp_path / "tiny.onnx").exists()


@pytest.mark.slow
def test_half_precision_keeps_what_onnx_wants_in_float(tmp_path: Path) -> None:
    def grow(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = nn.functional.interpolate(x * 2, scale_factor=2.0, mode="bilinear")
        return y, y.cumsum(1)

    source = SourceModel(Calls(grow), (torch.rand(1, 2, 3, 3),))
    convert(source, tmp_path / "grow.onnx", "fp16")
    found = run(tmp_path / "grow.onnx", *source.example_input)
    for result, wanted in zip(found, expected(source), strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, wanted, atol=5e-3)


@pytest.mark.slow
def test_constant_and_repeated_outputs(tmp_path: Path) -> None:
    def repeat(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x * 3
        return y, y, x, torch.arange(3.0)

    source = SourceModel(Calls(repeat), (torch.rand(2, 3),))
    for precision in ("fp32", "fp16"):
        convert(source, tmp_path / "repeat.onnx", precision)  # type: ignore[arg-type]
        found = run(tmp_path / "repeat.onnx", *source.example_input)
        for result, wanted in zip(found, expected(source), strict=True):
            np.testing.assert_allclose(result, wanted, atol=2e-3)


@pytest.mark.slow
def test_name_that_an_inner_tensor_has(tmp_path: Path) -> None:
    def twice(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.sigmoid(x)) + torch.sigmoid(x)

    source = SourceModel(Calls(twice), (torch.rand(2, 3),))
    inner = {name for node in convert(source, tmp_path / "a.onnx").graph.node for name in node.output}
    clash = min(inner - {"out0"})
    convert(source, tmp_path / "b.onnx", names=(clash,))
    np.testing.assert_allclose(run(tmp_path / "b.onnx", *source.example_input)[0], expected(source)[0], 1e-6)


def test_raw_pixels_in(tmp_path: Path) -> None:
    source = raw_pixels(tiny())
    pixels = torch.arange(192, dtype=torch.uint8).reshape(1, 3, 8, 8)
    model = convert(source, tmp_path / "pixels.onnx")
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    wanted = tiny().module((pixels.float() - 127.5) / 127.5).detach().numpy()
    np.testing.assert_allclose(run(tmp_path / "pixels.onnx", pixels)[0], wanted, atol=1e-5)
    found = {item.key: item.value for item in model.metadata_props}
    assert found["Image.NominalPixelRange"] == "NominalRange_0_255"


@pytest.mark.slow
def test_branches_keep_what_they_read(tmp_path: Path) -> None:
    def branch(x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.cond(x.sum() > 0, lambda y: y + 1.5, lambda y: y - 2.5, (x,))
        return result

    source = SourceModel(Calls(branch), (torch.ones(2, 3),))
    convert(source, tmp_path / "branch.onnx")
    np.testing.assert_allclose(run(tmp_path / "branch.onnx", -torch.ones(2, 3))[0], np.full((2, 3), -3.5))
    with pytest.raises(UnsupportedError, match="If cannot be converted to half precision"):
        convert(source, tmp_path / "branch.onnx", "fp16")


@torch.library.custom_op("mobiledeploy_test::odd", mutates_args=())
def odd(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@odd.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Calls(odd), Calls(torch.linalg.qr)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, r = self.second(self.first(x))
        result: torch.Tensor = q + self.first(r)
        return result


@pytest.mark.slow
def test_all_unknown_operations_are_listed(tmp_path: Path) -> None:
    source = SourceModel(Unknown().eval(), (torch.rand(1, 4, 4),))
    with pytest.raises(RefusedError) as caught:
        convert(source, tmp_path / "unknown.onnx")
    table = [(row.module, row.op, row.shape) for row in caught.value.refusals]
    assert table == [
        ("first", "mobiledeploy_test.odd.default", (1, 4, 4)),
        ("second", "aten.linalg_qr.default", (1, 4, 4)),
        ("first", "mobiledeploy_test.odd.default", (1, 4, 4)),
    ]
    assert all(row.reason and row.next_step for row in caught.value.refusals)
    assert not (tmp_path / "unknown.onnx").exists()


@pytest.mark.slow
def test_operation_that_the_exporter_fails_on(tmp_path: Path) -> None:
    def pool(x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_max_pool2d(x, (2, 3))

    source = SourceModel(Calls(pool), (torch.rand(1, 2, 5, 7),))
    with pytest.raises(UnsupportedError) as caught:
        convert(source, tmp_path / "pool.onnx")
    assert "adaptive_max_pool2d" in str(caught.value)


@pytest.mark.slow
def test_contract_with_other_outputs(tmp_path: Path) -> None:
    source = tiny()
    contract = contract_for(source, (*expected(source), torch.ones(1)), ("logits", "more"))
    with pytest.raises(InputError, match="1 outputs, the contract names 2"):
        to_onnx.write(export(source), contract, "fp32", tmp_path / "tiny.onnx")


@pytest.mark.slow
def test_more_than_one_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "LARGEST_FILE", 1000)
    with pytest.raises(UnsupportedError, match="2 GiB"):
        convert(tiny(), tmp_path / "tiny.onnx")
    assert not (tmp_path / "tiny.onnx").exists()


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/tiny\.onnx"):
        convert(tiny(), tmp_path / "no" / "tiny.onnx")


@pytest.mark.slow
def test_means_that_are_no_pooling_stay(tmp_path: Path) -> None:
    def means(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x.mean((1, 2)), x.mean((-2, -1), keepdim=True), x.mean()

    source = SourceModel(Calls(means), (torch.rand(2, 3, 4, 5),))
    found = kinds(convert(source, tmp_path / "means.onnx"))
    assert (found["GlobalAveragePool"], found["ReduceMean"]) == (1, 2)
    for result, wanted in zip(
        run(tmp_path / "means.onnx", *source.example_input), expected(source), strict=True
    ):
        np.testing.assert_allclose(result, wanted, rtol=1e-5)


@pytest.mark.slow
def test_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_to_onnx as t; from pathlib import Path\n"
        "t.convert(t.tiny(), Path(sys.argv[2])); t.convert(t.tiny(), Path(sys.argv[3]), 'fp16')"
    )
    digests = set()
    for seed in ("0", "4711"):
        files = [tmp_path / f"{seed}{precision}.onnx" for precision in ("fp32", "fp16")]
        command = [sys.executable, "-c", code, str(Path(__file__).parent), *map(str, files)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        digests.add(tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
    assert len(digests) == 1


def test_weights_are_the_models_own(fp32: tuple[Path, onnx.ModelProto]) -> None:
    weights = {item.name: numpy_helper.to_array(item) for item in fp32[1].graph.initializer}
    linear = tiny().module.get_submodule("classifier.1")
    np.testing.assert_array_equal(weights["classifier.1.weight"], linear.weight.detach().numpy())


def mobilenet(name: str, data_dir: Path) -> SourceModel:
    from mobiledeploy.models.mobilenet_v1 import MobileNetV1
    from mobiledeploy.models.mobilenet_v2 import MobileNetV2

    module, file, mean, std = {
        "v1": (MobileNetV1(), "mobilenet_v1_1.0_224_tfslim.pth", (127.5,) * 3, (127.5,) * 3),
        "v2": (
            MobileNetV2(),
            "mobilenet_v2-b0353104.pth",
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
        ),
    }[name]
    state = torch.load(data_dir / "weights" / file, weights_only=True)  # noqa: TID251
    module.load_state_dict(state)
    rule = Preprocessing(224, 224, resize_to=256, mean=mean, std=std)
    return SourceModel(module.eval(), (torch.zeros(1, 3, 224, 224),), "image-classification", rule)


def images(source: SourceModel, data_dir: Path, step: int) -> list[torch.Tensor]:
    """Every ``step``-th of the 1000 images, as uint8 NCHW."""
    from PIL import Image

    from mobiledeploy.preprocessing import prepare

    with (data_dir / "images" / "imagenet1k_sample_1000.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file)][::step]
    rule = source.preprocessing
    assert rule is not None
    folder = data_dir / "images" / "imagenet1k_sample_1000"
    pixels = [prepare(Image.open(folder / name), rule) for name in names]
    return [torch.from_numpy(item.copy()).permute(2, 0, 1)[None].contiguous() for item in pixels]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1", "v2"])
def test_trained_mobilenet_on_real_images(name: str, data_dir: Path, tmp_path: Path) -> None:
    source = mobilenet(name, data_dir)
    pixels_in = raw_pixels(source)
    model = convert(source, tmp_path / "fp32.onnx")
    assert set(kinds(model)) <= {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Reshape", "Gemm"}
    convert(source, tmp_path / "fp16.onnx", "fp16")
    convert(pixels_in, tmp_path / "pixels.onnx")
    sizes = [(tmp_path / f"{precision}.onnx").stat().st_size for precision in ("fp16", "fp32")]
    assert sizes[0] < 0.51 * sizes[1]

    full, half, raw = (open_session(tmp_path / f"{kind}.onnx") for kind in ("fp32", "fp16", "pixels"))
    same, pictures = 0, images(source, data_dir, step=20)
    rule = pixels_in.module.get_buffer("mean"), pixels_in.module.get_buffer("inverse_std")
    for picture in pictures:
        x = (picture.float() - rule[0]) * rule[1]
        with torch.no_grad():
            wanted = source.module(x).numpy()
        np.testing.assert_allclose(full.run([x.numpy()])[0], wanted, atol=1e-4)
        np.testing.assert_allclose(raw.run([picture.numpy()])[0], wanted, atol=1e-4)
        same += int(half.run([x.numpy()])[0].argmax() == wanted.argmax())
    assert same >= len(pictures) - 1
