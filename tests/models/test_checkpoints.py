"""Reading files that may be anything, and putting weights into modules."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from mobiledeploy.errors import InputError
from mobiledeploy.models.checkpoints import load_file, load_into, read_state_dict, remove_batch_norms
from mobiledeploy.models.mobilenet_v1 import MobileNetV1
from mobiledeploy.models.mobilenet_v2 import MobileNetV2


class RunsCode:
    """A pickle of this creates a file when it is run."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def block():
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 2, 1))


def trained(make=block):
    """A module whose every tensor differs from a new one's."""
    module = make()
    generator = torch.Generator().manual_seed(3)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return module.eval()


def same_results(first, second):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        torch.testing.assert_close(first.eval()(x), second.eval()(x))


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_reads_plain_wrapped_and_prefixed(tmp_path, wrapper, prefix):
    state = {f"{prefix}{key}": value for key, value in trained().state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pth")
    read = read_state_dict(tmp_path / "w.pth")
    assert list(read) == [key for key in trained().state_dict() if "num_batches" not in key]
    module = block()
    assert load_into(module, read) == "by name"
    same_results(module, trained())


def test_reads_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file(trained().state_dict(), tmp_path / "w.safetensors")
    module = block()
    name, digest = load_file(module, tmp_path / "w.safetensors")
    assert (name, len(digest)) == ("w.safetensors", 64)
    same_results(module, trained())


def test_reads_files_of_old_torch(tmp_path):
    torch.save(trained().state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert read_state_dict(tmp_path / "w.pth").keys() == {
        key for key in block().state_dict() if "num_batches" not in key
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("how", ["pickle", "zip", "legacy"])
def test_code_is_named_and_not_run(tmp_path, how, protocol):
    marker, path = tmp_path / "ran", tmp_path / "w.pth"
    content = {"weight": torch.zeros(2), "payload": RunsCode(marker)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(RunsCode(marker), protocol=protocol))
    else:
        legacy = how == "legacy"
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"more than weights .*mkdir.* was not run\. Save the weights"):
        read_state_dict(path)
    assert not marker.exists()


def test_a_whole_pickled_module_is_more_than_weights(tmp_path):
    torch.save(block(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"more than weights .*torch\.nn\.modules\.container\.Sequential"):
        read_state_dict(tmp_path / "w.pth")


def test_a_torchscript_program_is_more_than_weights(tmp_path):
    with pytest.warns(DeprecationWarning, match="script"):
        scripted = torch.jit.script(nn.ReLU())
    scripted.save(tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"more than weights .*TorchScript"):
        read_state_dict(tmp_path / "w.pt")


def damaged_files():
    good = OrderedDict(a=torch.arange(3000.0))
    return {
        "empty.pth": lambda path: path.write_bytes(b""),
        "random.pth": lambda path: path.write_bytes(bytes(range(255, 0, -1)) * 20),
        "text.pth": lambda path: path.write_text("not weights at all\n"),
        "zip.pth": lambda path: zipfile.ZipFile(path, "w").close(),
        "other.pth": lambda path: zipfile.ZipFile(path, "w").writestr("readme.txt", "hello"),
        "empty.safetensors": lambda path: path.write_bytes(b""),
        "random.safetensors": lambda path: path.write_bytes(bytes(range(255, 0, -1)) * 20),
        "truncated.pth": lambda path: (
            torch.save(good, path),
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        ),
        "overwritten.pth": lambda path: (
            torch.save(good, path),
            path.write_bytes(path.read_bytes()[:60] + b"\0" * 400 + path.read_bytes()[460:]),
        ),
    }


@pytest.mark.parametrize("name", damaged_files())
def test_damaged_files(tmp_path, name):
    path = tmp_path / name
    damaged_files()[name](path)
    with pytest.raises(InputError, match="truncated or damaged") as caught:
        read_state_dict(path)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_an_input_error(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(block().state_dict(), path)
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            read_state_dict(path)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(InputError, match="there is no such file"):
            read_state_dict(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(2)], torch.zeros(2), {"a": {"b": 1}}])
def test_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="no state dict"):
        read_state_dict(tmp_path / "w.pth")


def test_other_names_load_by_order_and_shape(tmp_path):
    state = {
        f"backbone.x{i}.{k.rpartition('.')[2]}": v for i, (k, v) in enumerate(trained().state_dict().items())
    }
    torch.save(state, tmp_path / "w.pth")
    module = block()
    assert load_file(module, tmp_path / "w.pth")[0] == "w.pth (loaded by order and shape)"
    same_results(module, trained())


def test_order_alone_does_not_mix_up_the_parts_of_a_batch_norm():
    """Sorted by name, bias comes before weight: the shapes agree and the roles do not."""
    state = trained().state_dict()
    swapped = {f"x.{key}": state[key] for key in ("0.weight", "1.bias", "1.weight", *list(state)[3:])}
    with pytest.raises(InputError):
        load_into(block(), swapped)


def test_a_mismatch_names_the_first_key_and_both_shapes():
    state = trained().state_dict()
    state["3.weight"] = torch.zeros(2, 5, 1, 1)
    state["3.bias"] = torch.zeros(7)
    with pytest.raises(
        InputError, match=r"^f\.pth: 3\.weight has shape 2x5x1x1 in the checkpoint and 2x4x1x1 in the model\."
    ):
        load_into(block(), state, where="f.pth")


def test_a_missing_and_a_surplus_key_are_named():
    state = trained().state_dict()
    del state["1.bias"]
    with pytest.raises(InputError, match=r"1\.bias \(4\) is in the model and not in the checkpoint"):
        load_into(block(), state)
    with pytest.raises(InputError, match=r"head\.weight \(9x9\) is in the checkpoint and not in the model"):
        load_into(block(), {**trained().state_dict(), "head.weight": torch.zeros(9, 9)})


def test_another_architecture_is_refused():
    with pytest.raises(InputError, match="in the checkpoint"):
        load_into(MobileNetV1(), MobileNetV2().state_dict())


def test_a_failed_load_changes_no_weights():
    module = trained()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(InputError):
        load_into(module, {**block().state_dict(), "3.bias": torch.zeros(9)})
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("make", [block, lambda: MobileNetV1(0.25, 5), lambda: MobileNetV2(0.35, 5)])
def test_a_checkpoint_with_folded_batch_norms(make):
    from torch.nn.utils import fuse_conv_bn_eval

    original, folded = trained(make), trained(make)
    previous = None
    for name, layer in list(folded.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            folded.set_submodule(previous[0], fuse_conv_bn_eval(previous[1], layer))
            folded.set_submodule(name, nn.Identity())
        previous = (name, layer)
    module = make()
    assert load_into(module, folded.state_dict()) == "by name"
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5)) / 1e3
    with torch.inference_mode():
        torch.testing.assert_close(module.eval()(x), original(x), rtol=1e-4, atol=1e-4)


def test_only_a_batch_norm_after_a_convolution_is_removed():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    remove_batch_norms(module)
    assert [type(layer) for layer in module] == [nn.BatchNorm2d, nn.Conv2d, nn.Identity]
    assert module[1].bias is not None


def test_half_precision_weights_are_widened():
    module = block()
    load_into(module, {key: value.half() for key, value in trained().state_dict().items()})
    assert {value.dtype for value in module.parameters()} == {torch.float32}
