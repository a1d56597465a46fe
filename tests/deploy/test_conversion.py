"""From a model to files: names, proof, and nothing half-written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mobiledeploy
from mobiledeploy.contract import TARGETS, Precision, Provenance, Target
from mobiledeploy.deploy.conversion import convert, convert_all, default_name, plan_outputs
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.errors import InputError, OutputError, RefusedError, VerificationError
from mobiledeploy.source import SourceModel


class DiffersWhenExported(torch.nn.Module):
    """What no converter can get right: the program is not what the module computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * (2.0 if torch.compiler.is_exporting() else 1.0)


class Interrupted(torch.nn.Module):
    """Ctrl-C while the file is compared: it is written by then and has its temporary name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            raise KeyboardInterrupt
        return x.mean((2, 3))


class Refused(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


EXAMPLE = torch.zeros(1, 3, 8, 8)
# TFLite is quick; the makers' exporters of the others take seconds.
EACH = ["tflite", *(pytest.param(target, marks=pytest.mark.slow) for target in TARGETS if target != "tflite")]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("target", EACH)
def test_a_file_is_read_back(target: Target, precision: Precision, tiny: SourceModel, tmp_path: Path) -> None:
    artifact = convert(tiny, target=target, precision=precision, output=tmp_path)
    assert artifact.path.exists()
    assert artifact.path.parent == tmp_path
    assert artifact.contract is not None
    assert artifact.contract.labels == tiny.labels
    assert artifact.contract.preprocessing == tiny.preprocessing
    assert artifact.census.arithmetic == {"fp32": "float32", "fp16": "float16"}[precision]
    assert [item.name for item in tmp_path.iterdir()] == [artifact.path.name]


@pytest.mark.parametrize("target", EACH)
def test_pixels_in(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    artifact = convert(tiny, target=target, input_dtype="uint8", output=tmp_path)
    assert artifact.path.stem == "tiny_uint8"
    assert [spec.dtype for spec in artifact.contents.inputs] == ["uint8"]
    assert artifact.contract is not None
    assert artifact.contract.preprocessing is not None
    assert artifact.contract.preprocessing.mean == (0, 0, 0)


@pytest.mark.parametrize("target", EACH)
def test_same_input_same_bytes(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    first = convert(tiny, target=target, output=tmp_path / "one", verify=False)
    second = convert(tiny, target=target, output=tmp_path / "two", verify=False)
    assert first.sha256 == second.sha256


@pytest.mark.slow
def test_several_targets_share_one_export(tiny: SourceModel, tmp_path: Path) -> None:
    announced: list[str] = []
    conversions = convert_all(
        tiny, TARGETS, name="tiny", output=tmp_path, golden=True, stages=Stages(announced.append)
    )
    assert [conversion.artifact.target for conversion in conversions] == list(TARGETS)
    assert all(conversion.verification and conversion.verification.passed for conversion in conversions)
    assert all(conversion.golden and conversion.golden.is_file() for conversion in conversions)
    assert sum(message.startswith("export") for message in announced) == 1


@pytest.mark.slow
def test_a_second_conversion_replaces_the_first(tiny: SourceModel, tmp_path: Path) -> None:
    for target in TARGETS:
        first = convert(tiny, target=target, output=tmp_path, verify=False)
        relabelled = replace(tiny, labels=("a", "b", "c", "d"))
        second = convert(relabelled, target=target, output=tmp_path, verify=False)
        assert first.path == second.path
        assert first.sha256 != second.sha256
    assert len(list(tmp_path.iterdir())) == len(TARGETS)


@pytest.mark.parametrize("target", EACH)
def test_a_file_that_differs_is_rejected(target: Target, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="beyond the tolerance"):
        convert(DiffersWhenExported().eval(), target=target, example_input=EXAMPLE + 1, output=tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".rejected")
    assert mobiledeploy.inspect(left).target == target


def test_a_rejected_file_leaves_the_earlier_one(tiny: SourceModel, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    before = convert(tiny, output=path)
    with pytest.raises(VerificationError):
        convert(DiffersWhenExported().eval(), example_input=EXAMPLE, output=path)
    assert mobiledeploy.inspect(path).sha256 == before.sha256


@pytest.mark.parametrize("target", EACH)
def test_a_refusal_leaves_nothing(target: Target, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        convert(Refused().eval(), target=target, example_input=EXAMPLE, output=tmp_path)
    assert "bessel_j0" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", EACH)
def test_an_interrupt_leaves_nothing(target: Target, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(Interrupted().eval(), target=target, example_input=EXAMPLE, output=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_module_stays_in_training_mode(tiny: SourceModel, tmp_path: Path) -> None:
    module = tiny.module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    convert(module, example_input=tiny.example_input, output=tmp_path)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_what_the_file_says_can_be_given(tiny: SourceModel, tmp_path: Path) -> None:
    rule = mobiledeploy.Preprocessing(8, 8, mean=(1, 2, 3), std=(4, 5, 6))
    artifact = convert(
        tiny.module,
        example_input=tiny.example_input[0],
        task="image-classification",
        preprocessing=rule,
        labels=["a", "b", "c", "d"],
        output=tmp_path,
    )
    assert artifact.contract is not None
    assert artifact.contract.task == "image-classification"
    assert artifact.contract.preprocessing == rule
    assert artifact.contract.labels == ("a", "b", "c", "d")


def test_module_without_an_example() -> None:
    with pytest.raises(InputError, match="example_input"):
        convert(torch.nn.Identity())


def test_options_of_a_reference_do_not_go_with_a_module(tiny: SourceModel) -> None:
    with pytest.raises(InputError, match="module"):
        convert(tiny, width=0.5)


def test_no_model_at_all() -> None:
    with pytest.raises(InputError, match="no model"):
        convert(3)  # type: ignore[arg-type]


def test_parent_is_a_file(tiny: SourceModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        convert(tiny, output=tmp_path / "file" / "model.tflite")
    with pytest.raises(OutputError, match="not a folder"):
        convert(tiny, output=tmp_path / "file")


def test_folder_that_cannot_be_made(tiny: SourceModel) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        convert(tiny, output="/proc/mobiledeploy")


@pytest.mark.parametrize("target", EACH)
def test_a_folder_has_the_name_of_the_file(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    suffix = {"tflite": ".tflite", "onnx": ".onnx", "coreml": ".mlpackage"}[target]
    taken = tmp_path / f"model{suffix}"
    taken.mkdir()
    (taken / "precious.txt").write_text("keep")
    with pytest.raises(OutputError, match="a folder of that name"):
        convert(tiny, target=target, output=taken)
    assert (taken / "precious.txt").read_text() == "keep"
    assert len(list(tmp_path.iterdir())) == 1


def test_one_file_name_for_two_targets() -> None:
    with pytest.raises(InputError, match="tflite and onnx"):
        plan_outputs(("tflite", "onnx"), "m", "model.tflite")
    with pytest.raises(InputError, match=r"\.onnx"):
        plan_outputs(("tflite",), "m", "model.onnx")


def test_golden_needs_a_comparison(tiny: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="comparison"):
        convert_all(tiny, ("tflite",), name="m", output=tmp_path, golden=True, verify=False)


@pytest.mark.parametrize(
    ("reference", "width", "resolution", "name"),
    [
        ("mobilenet_v2", None, None, "mobilenet_v2"),
        ("mobilenet_v1 (width 0.25)", 0.25, 128, "mobilenet_v1_0.25_128"),
        ("timm:lcnet_050", None, None, "lcnet_050"),
        ("my.package:build", None, None, "build"),
        ("some/folder/net.pt2", None, None, "net"),
    ],
)
def test_names(
    reference: str, width: float | None, resolution: int | None, name: str, tiny: SourceModel
) -> None:
    source = replace(tiny, provenance=Provenance(model=reference))
    assert default_name(source, width=width, resolution=resolution) == name
