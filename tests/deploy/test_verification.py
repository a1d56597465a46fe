"""A report says what differs, and by how much."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import SIZE, tiny_module

from mobiledeploy.contract import TARGETS, Target
from mobiledeploy.deploy.comparison import TOLERANCE
from mobiledeploy.deploy.conversion import convert
from mobiledeploy.deploy.samples import seeded_samples, take_reference
from mobiledeploy.deploy.verification import compare, verify
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.source import SourceModel


@pytest.mark.parametrize("target", TARGETS)
def test_a_right_file_passes(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, target=target, output=tmp_path, verify=False).path
    report = verify(file, tiny)
    assert report.passed
    assert report.problems == ()
    assert report.seeded == len(seeded_samples(tiny))
    (output,) = report.outputs
    assert output.tolerance == pytest.approx(TOLERANCE["fp32"] * output.largest)
    assert output.sqnr_db > 80
    assert output.same_top == report.seeded


@pytest.mark.parametrize("target", TARGETS)
def test_other_weights_fail(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, target=target, output=tmp_path, verify=False).path
    report = verify(file, replace(tiny, module=tiny_module(seed=1)))
    assert not report.passed
    assert report.outputs[0].sqnr_db < 20
    assert "beyond the tolerance" in report.summary


def test_one_wrong_bias_fails_in_fp16_too(tiny: SourceModel, tmp_path: Path) -> None:
    """The wider tolerance still finds an error of a tenth of the range in one class."""
    file = convert(tiny, precision="fp16", output=tmp_path, verify=False).path
    assert verify(file, tiny).passed
    assert verify(file, tiny).precision == "fp16"
    with torch.no_grad():
        tiny.module[-1].bias[2] += 0.1 * verify(file, tiny).outputs[0].largest
    assert not verify(file, tiny).passed


@pytest.mark.parametrize("target", TARGETS)
def test_pixels_against_the_float_model(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, target=target, input_dtype="uint8", output=tmp_path, verify=False).path
    assert verify(file, tiny).passed


def test_a_plain_module(tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, output=tmp_path, verify=False).path
    assert verify(file, tiny.module).passed


def test_images_are_compared_too(tiny: SourceModel, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    file = convert(tiny, output=tmp_path, images=[tmp_path / "photo.png"]).path
    report = verify(file, tiny, images=[tmp_path / "photo.png"])
    assert (report.images, report.passed) == (1, True)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text\.png"):
        verify(file, tiny, images=[tmp_path / "text.png"])


def test_images_need_a_preprocessing(tiny: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not say how to prepare"):
        convert(replace(tiny, preprocessing=None), output=tmp_path, images=[tmp_path / "photo.png"])
    assert list(tmp_path.iterdir()) == []


def test_another_resolution(tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, output=tmp_path, verify=False).path
    with pytest.raises(InputError, match="1x8x8x3"):
        verify(file, replace(tiny, example_input=(torch.zeros(1, 3, 8, 8),)))


@pytest.mark.slow
def test_two_inputs_in_the_order_of_the_source(tmp_path: Path) -> None:
    class Difference(torch.nn.Module):
        def forward(self, zebra: torch.Tensor, ant: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return zebra - 2 * ant, torch.relu(ant)

    inputs = (torch.ones(1, 4), torch.zeros(1, 4))
    for target in TARGETS:
        file = convert(Difference().eval(), target=target, example_input=inputs, output=tmp_path).path
        report = verify(file, SourceModel(Difference().eval(), inputs))
        assert report.passed
        assert len(report.outputs) == 2


@pytest.mark.slow
def test_image_outputs_come_in_their_layout(tmp_path: Path) -> None:
    module = torch.nn.Conv2d(3, 5, 3, padding=1).eval()
    for target in TARGETS:
        artifact = convert(module, target=target, example_input=torch.zeros(1, 3, 6, 7), output=tmp_path)
        shape = (1, 6, 7, 5) if target == "tflite" else (1, 5, 6, 7)
        assert artifact.contents.outputs[0].shape == shape


def test_a_contract_that_is_not_true(tiny: SourceModel, tmp_path: Path) -> None:
    artifact = read_artifact(convert(tiny, output=tmp_path, verify=False).path)
    contract = artifact.contract
    assert contract is not None
    wrong = replace(contract, inputs=(replace(contract.inputs[0], shape=(1, 3, 3, 3)),), labels=("a",))
    forged = replace(artifact, contents=replace(artifact.contents, contract=wrong))
    report = compare(forged, open_session(artifact.path), take_reference(tiny), expected=contract)
    assert not report.passed
    text = " ".join(report.problems)
    assert "not the one written" in text
    assert "shape" in text
    assert "1 labels for 4 classes" in text


@pytest.mark.slow
def test_a_file_without_a_contract_is_compared_all_the_same(tiny: SourceModel, tmp_path: Path) -> None:
    artifact = read_artifact(convert(tiny, target="onnx", output=tmp_path, verify=False).path)
    bare = replace(artifact, contents=replace(artifact.contents, contract=None))
    session = open_session(artifact.path)
    assert compare(bare, session, take_reference(tiny)).passed
    assert compare(bare, session, take_reference(tiny), expected=artifact.contract).problems == (
        "the file carries no contract",
    )


@pytest.mark.data
def test_a_quantized_file_is_refused(data_dir: Path, tiny: SourceModel) -> None:
    with pytest.raises(UnsupportedError, match="evaluate"):
        verify(data_dir / "tflite" / "mobilenet_v1_0.25_128_quant.tflite", tiny)


def test_nan_is_a_failure_and_json_stays_json(tmp_path: Path) -> None:
    class Root(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sqrt(x if torch.compiler.is_exporting() else x.abs())

    file = convert(Root().eval(), example_input=torch.ones(1, 3), output=tmp_path, verify=False).path
    report = verify(file, SourceModel(Root().eval(), (torch.ones(1, 3),)))
    assert not report.passed
    text = json.dumps(report.to_json(), default=str, allow_nan=False)
    assert json.loads(text)["passed"] is False


@pytest.mark.parametrize("target", TARGETS)
def test_golden_values_are_what_the_file_gives(target: Target, tiny: SourceModel, tmp_path: Path) -> None:
    file = convert(tiny, target=target, output=tmp_path, verify=False).path
    verify(file, tiny, golden=tmp_path / "one.npz")
    verify(file, tiny, golden=tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    session = open_session(file)
    with np.load(tmp_path / "one.npz") as golden:
        assert len(golden.files) == 2 * len(seeded_samples(tiny))
        array = golden[f"003/input/{session.inputs[0].name}"]
        assert array.shape == ((1, SIZE, SIZE, 3) if target == "tflite" else (1, 3, SIZE, SIZE))
        (again,) = session.run([array])
        np.testing.assert_array_equal(golden[f"003/output/{session.outputs[0].name}"], again)


def test_samples_reach_the_ends_of_the_range(tiny: SourceModel) -> None:
    samples = [sample[0] for sample in seeded_samples(tiny)]
    assert min(float(sample.min()) for sample in samples) == pytest.approx(-1)
    assert max(float(sample.max()) for sample in samples) == pytest.approx(1)
    again = [sample[0] for sample in seeded_samples(tiny)]
    assert all(np.array_equal(one, two) for one, two in zip(samples, again, strict=True))
