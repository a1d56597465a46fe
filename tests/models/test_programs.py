"""Programs saved by torch.export, good and bad."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn
from torch.export import Dim

from mobiledeploy import models
from mobiledeploy.errors import InputError, UnsupportedError


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)).relu())


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


# Where PyTorch's readers, new and old, look for pickles.
MEMBERS = ("data/sample_inputs/model.pt", "data/weights/model.pt", "serialized_state_dict.pt")
EXAMPLE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def saved(tmp_path):
    module = Small().eval()
    path = tmp_path / "small.pt2"
    torch.export.save(torch.export.export(module, (EXAMPLE,)), path)
    return module, path


def edited(path, change):
    """Rewrite every member of an archive: ``change(name, content) -> content``, None drops it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            new = change(name, content)
            if new is not None:
                archive.writestr(name, new)


def test_a_program_computes_what_its_module_does(saved):
    module, path = saved
    source = models.load(str(path))
    assert torch.equal(source.example_input[0], EXAMPLE)
    assert source.provenance.model == "small.pt2"
    assert len(source.provenance.weights_sha256) == 64
    assert not any(part.training for part in source.module.modules())
    with torch.inference_mode():
        assert torch.equal(source.module(EXAMPLE), module(EXAMPLE))
    again = torch.export.export(source.module, source.example_input)
    with torch.inference_mode():
        assert torch.equal(again.module()(EXAMPLE), module(EXAMPLE))


@pytest.mark.parametrize(("dim", "low"), [(0, 1), (2, 4)])
def test_dynamic_shapes_are_refused_by_name(tmp_path, dim, low):
    program = torch.export.export(
        Small().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes={"x": {dim: Dim("n", min=low, max=64)}}
    )
    torch.export.save(program, tmp_path / "d.pt2")
    with pytest.raises(UnsupportedError, match=rf"dimension {dim} of input x is dynamic"):
        models.load(str(tmp_path / "d.pt2"))


def test_shapes_that_depend_on_the_data_are_refused(tmp_path):
    class NonZero(nn.Module):
        def forward(self, x):
            return x.nonzero()

    torch.export.save(torch.export.export(NonZero(), (torch.ones(3),)), tmp_path / "n.pt2")
    with pytest.raises(UnsupportedError, match="depends on the data"):
        models.load(str(tmp_path / "n.pt2"))


@pytest.mark.parametrize("part", [nn.BatchNorm2d(3), nn.Dropout(0.1)])
def test_training_mode_is_refused(tmp_path, part):
    torch.export.save(torch.export.export(nn.Sequential(part).train(), (EXAMPLE,)), tmp_path / "t.pt2")
    with pytest.raises(UnsupportedError, match="training mode"):
        models.load(str(tmp_path / "t.pt2"))


def test_keyword_inputs_are_refused(tmp_path):
    program = torch.export.export(Small().eval(), (), {"x": EXAMPLE})
    torch.export.save(program, tmp_path / "k.pt2")
    with pytest.raises(UnsupportedError, match="not plain positional tensors"):
        models.load(str(tmp_path / "k.pt2"))


def test_options_are_refused(saved):
    for options in ({"weights": "random"}, {"resolution": 64}):
        with pytest.raises(InputError, match="inside"):
            models.load(str(saved[1]), **options)
    with pytest.raises(InputError, match="width"):
        models.load(str(saved[1]), width=0.5)


@pytest.mark.parametrize("content", [b"", b"random" * 100, b"PK\x03\x04" + b"\0" * 50])
def test_files_that_are_no_program(tmp_path, content):
    path = tmp_path / "x.pt2"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no exported program.*Export it again"):
        models.load(str(path))


def test_a_missing_program(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        models.load(str(tmp_path / "x.pt2"))


def test_every_truncation_is_an_input_error(saved):
    path = saved[1]
    content = path.read_bytes()
    for size in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            models.load(str(path))


@pytest.mark.parametrize("lost", ["model.json", "weight_0", "model_weights_config.json", "archive_format"])
def test_a_program_with_a_part_missing(saved, lost):
    edited(saved[1], lambda name, content: None if name.endswith(lost) else content)
    with pytest.raises(InputError):
        models.load(str(saved[1]))


@pytest.mark.parametrize("member", MEMBERS)
def test_code_in_a_program_is_not_run(saved, tmp_path, member):
    marker, path = tmp_path / "ran", saved[1]
    payload = pickle.dumps(RunsCode(marker))
    edited(path, lambda name, content: None if name.endswith("sample_inputs/model.pt") else content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"small/{member}", payload)
    with pytest.raises(InputError, match=r"pickled objects.* was not run"):
        models.load(str(path))
    assert not marker.exists()


def test_pickled_payloads_and_compiled_libraries_are_refused(saved):
    path = saved[1]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("small/data/aotinductor/model/x.so", b"\x7fELF")
    with pytest.raises(InputError, match="compiled library"):
        models.load(str(path))

    def pickle_weights(name, content):
        if "aotinductor" in name:
            return None
        return content.replace(b'"use_pickle": false', b'"use_pickle":true')

    edited(path, pickle_weights)
    with pytest.raises(InputError, match="pickled objects"):
        models.load(str(path))


def test_guards_of_a_program_are_not_run(saved, tmp_path):
    marker = tmp_path / "ran"

    def add_guard(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        program["guards_code"] = [f"__import__('os').mkdir({str(marker)!r}) is None"]
        return json.dumps(program)

    edited(saved[1], add_guard)
    models.load(str(saved[1])).module(EXAMPLE)
    assert not marker.exists()


@pytest.mark.parametrize("target", ["os.system", "torch.hub.list", "_operator.mul"])
def test_calls_of_other_functions_are_refused_in_one_line(saved, capfd, target):
    def replace_call(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        program["graph_module"]["graph"]["nodes"][-2]["target"] = target
        return json.dumps(program)

    edited(saved[1], replace_call)
    with pytest.raises(InputError) as caught:
        models.load(str(saved[1]))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
