"""timm and torchvision models, where these packages are installed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mobiledeploy import models
from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.models.torchvision_ops import declare_missing
from mobiledeploy.models.trained import Description, save_trained

declare_missing()
torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")


def test_importing_torchvision_after_the_declaration_works_in_a_fresh_process():
    code = (
        "from mobiledeploy.models.torchvision_ops import declare_missing; declare_missing(); "
        "assert not declare_missing(); import torchvision; torchvision.models.mobilenet_v2()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_timm_model_with_its_own_preprocessing():
    source = models.load("timm:mobilenetv3_small_050", weights="random")
    rule = source.preprocessing
    assert (rule.height, rule.resize_to, rule.interpolation) == (224, 256, "bicubic")
    assert rule.mean == (123.675, 116.28, 103.53)
    assert len(source.labels) == 1000
    assert source.provenance.weights == "random"
    with torch.inference_mode():
        assert source.module(*source.example_input).shape == (1, 1000)


def test_timm_at_another_resolution_and_crop():
    source = models.load("timm:mobilevit_xxs", weights="random", resolution=192)
    assert source.example_input[0].shape == (1, 3, 192, 192)
    assert source.preprocessing.resize_to == 213  # 192 / 0.9, rounded down as timm does
    assert source.preprocessing.std == (255.0,) * 3


def test_timm_weights_by_name_and_of_another_model(tmp_path):
    state = timm.create_model("lcnet_050").state_dict()
    torch.save(state, tmp_path / "lcnet.pth")
    source = models.load("timm:lcnet_050", weights=tmp_path / "lcnet.pth")
    assert torch.equal(source.module.state_dict()["conv_stem.weight"], state["conv_stem.weight"])
    assert source.provenance.weights == "lcnet.pth"
    with pytest.raises(InputError, match="has shape"):
        models.load("timm:lcnet_100", weights=tmp_path / "lcnet.pth")


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("timm:mobilenetv3_smal_100", "Did you mean mobilenetv3_small_100"),
        ("timm:", "timm has no such model"),
        ("torchvision:mobilenet_v22", "Did you mean mobilenet_v2"),
        ("torchvision:zzzz", "See torchvision's list"),
    ],
)
def test_unknown_names(reference, answer):
    with pytest.raises(InputError, match=answer):
        models.load(reference, weights="random")


def test_torchvision_classifier_loads_our_checkpoint_layout(tmp_path):
    ours = models.load("mobilenet_v3_small", weights="random")
    torch.save(ours.module.state_dict(), tmp_path / "v3.pth")
    theirs = models.load("torchvision:mobilenet_v3_small", weights=tmp_path / "v3.pth")
    assert theirs.preprocessing == ours.preprocessing
    assert theirs.labels == ours.labels
    with torch.inference_mode():
        expected = theirs.module(*ours.example_input)
        torch.testing.assert_close(ours.module(*ours.example_input), expected, rtol=1e-4, atol=1e-4)


def test_torchvision_segmentation_has_its_task_and_classes():
    source = models.load("torchvision:lraspp_mobilenet_v3_large", weights="random", resolution=128)
    assert source.task == "image-segmentation"
    assert source.labels[0] == "__background__"
    assert (source.preprocessing.resize, source.preprocessing.width) == ("stretch", 128)
    with torch.inference_mode():
        assert source.module(*source.example_input)["out"].shape == (1, 21, 128, 128)


def test_torchvision_detection_is_refused():
    with pytest.raises(UnsupportedError, match=r"package\.module:function"):
        models.load("torchvision:ssdlite320_mobilenet_v3_large", weights="random")


def test_a_fixed_size_is_kept():
    with pytest.raises(InputError, match="takes 224x224 only"):
        models.load("timm:vit_tiny_patch16_224", weights="random", resolution=128)


@pytest.mark.parametrize("reference", ["timm:lcnet_050", "torchvision:mobilenet_v3_small"])
def test_weights_that_cannot_be_fetched(reference, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentProblem, match=r"cannot be fetched.*--weights FILE"):
        models.load(reference)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_installed(library, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else found(name))
    with pytest.raises(EnvironmentProblem, match=f"{library} is not installed"):
        models.load(f"{library}:mobilenet_v2", weights="random")


def test_a_checkpoint_of_timm_is_a_model_by_itself(tmp_path):
    source = models.load("timm:mobilenetv3_small_050", weights="random", resolution=96)
    named = replace(source, labels=tuple(map(str, range(1000))))
    path = tmp_path / "model.safetensors"
    save_trained(path, source.module.state_dict(), named, Description("timm:mobilenetv3_small_050", 1.0, 96))

    again = models.load(str(path))

    assert (again.labels, again.example_input[0].shape) == (named.labels, source.example_input[0].shape)
