"""Reading Core ML files of any make, and saying in one line what is wrong with a bad one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import Contract, TensorSpec
from mobiledeploy.converters import to_coreml
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.runtimes.census import take_census
from mobiledeploy.runtimes.coreml_file import read
from mobiledeploy.runtimes.mil_reference.session import open_session

SHAPE = (1, 4, 8, 8)
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(4, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 3), nn.Flatten(), nn.Linear(128, 6)
    ).eval()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "m.mlpackage"
    program = torch.export.export(network(), (torch.zeros(SHAPE),))
    said = Contract((TensorSpec("x", SHAPE, "float32"),), (TensorSpec("y", (1, 6), "float32"),))
    to_coreml.write(program, said, "fp32", path)
    return path


@pytest.fixture
def copied(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "m.mlpackage"))


def compress(package: Path, path: Path, way: str) -> Path:
    """Let coremltools compress the weights of a package."""
    import coremltools as ct
    from coremltools.optimize import coreml as optimize

    model = ct.models.MLModel(str(package), skip_model_load=True)
    configs: dict[str, Any] = {
        "int8": optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=64),
        "uint8": optimize.OpLinearQuantizerConfig(mode="linear", dtype="uint8", weight_threshold=64),
        "palette": optimize.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=64),
        "sparse": optimize.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=64),
    }
    run = {"palette": optimize.palettize_weights, "sparse": optimize.prune_weights}.get(
        way, optimize.linear_quantize_weights
    )
    run(model, optimize.OptimizationConfig(global_config=configs[way])).save(str(path))
    return path


def test_operations_weights_and_cost(package: Path) -> None:
    contents = read(package)
    assert [op.kind for op in contents.ops] == ["conv", "relu", "conv", "reshape", "linear"]
    assert [op.mult_adds for op in contents.ops] == [36 * 32 * 36, 0, 16 * 8 * 288, 0, 6 * 128]
    assert contents.parameters == sum(item.numel() for item in network().parameters())
    assert contents.weight_bytes == 4 * contents.parameters


@pytest.mark.parametrize("way", ["int8", "uint8", "palette", "sparse"])
def test_compressed_weights_are_read_and_evaluated(way: str, package: Path, tmp_path: Path) -> None:
    import coremltools as ct
    from coremltools.optimize import coreml as optimize

    path = compress(package, tmp_path / "small.mlpackage", way)
    contents = read(path)
    assert contents.parameters == read(package).parameters
    bits = {"palette": 4, "sparse": 17}.get(way, 8)
    assert contents.weight_bytes < contents.parameters * bits / 8 * 1.3 + 64
    stored = {op.weights for op in contents.ops if op.mult_adds}
    assert stored == {{"int8": "int8", "palette": "uint8", "sparse": "float32"}.get(way, "uint8")}
    assert take_census(contents).arithmetic == ("float32" if way == "sparse" else "weights-only")

    # coremltools' own expansion of the same weights is the yardstick.
    dense = tmp_path / "dense.mlpackage"
    optimize.decompress_weights(ct.models.MLModel(str(path), skip_model_load=True)).save(str(dense))
    x = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")
    (found,), (expected,) = (open_session(item, threads=1).run([x]) for item in (path, dense))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, open_session(package, threads=1).run([x])[0], atol=1e-4)


def test_older_neural_network(tmp_path: Path) -> None:
    from coremltools.models import MLModel, datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(3))])
    weights = np.ones((3, 4), "float32")
    builder.add_inner_product("dense", weights, np.ones(3, "float32"), 4, 3, True, "x", "h")
    builder.add_activation("relu", "RELU", "h", "y")
    path = tmp_path / "old.mlmodel"
    MLModel(builder.spec, skip_model_load=True).save(str(path))
    contents = read(path)
    assert [op.kind for op in contents.ops] == ["innerProduct", "activation"]
    assert (contents.parameters, contents.weight_bytes) == (15, 60)
    assert [(item.name, item.shape) for item in contents.inputs] == [("x", (4,))]
    with pytest.raises(UnsupportedError, match="older neural network"):
        open_session(path)


def test_other_kinds_of_model_are_refused(tmp_path: Path) -> None:
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model(specificationVersion=4)
    spec.pipeline.names.append("first")
    path = tmp_path / "pipeline.mlmodel"
    path.write_bytes(spec.SerializeToString())
    with pytest.raises(UnsupportedError, match="pipeline"):
        read(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.mlpackage")


def test_folder_that_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Manifest\.json is missing"):
        read(tmp_path)


@pytest.mark.parametrize("name", [MODEL, WEIGHTS])
def test_missing_part(name: str, copied: Path) -> None:
    (copied / name).unlink()
    with pytest.raises(InputError, match=f"{Path(name).name} is missing"):
        read(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"itemInfoEntries": {}}', '{"rootModelIdentifier": 1}'])
def test_damaged_manifest(text: str, copied: Path) -> None:
    (copied / "Manifest.json").write_text(text)
    with pytest.raises(InputError, match="damaged"):
        read(copied)


def test_manifest_that_leads_out_of_the_package(copied: Path, tmp_path: Path) -> None:
    shutil.copy(copied / MODEL, tmp_path / "model.mlmodel")
    manifest = json.loads((copied / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = "../../model.mlmodel"
    (copied / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="outside the package"):
        read(copied)


@pytest.mark.parametrize("name", [MODEL, WEIGHTS])
@pytest.mark.parametrize("keep", [0, 1, 40, 200])
def test_truncated_part(name: str, keep: int, copied: Path) -> None:
    file = copied / name
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError):
        read(copied)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "noise.mlmodel"
    path.write_bytes(np.random.default_rng(seed).bytes(500))
    with pytest.raises((InputError, UnsupportedError)):
        read(path)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_never_end_in_a_crash(seed: int, copied: Path) -> None:
    file = copied / MODEL
    data = bytearray(file.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(0, len(data), 5):
        data[at] = random.integers(0, 256)
    file.write_bytes(bytes(data))
    try:
        read(copied)
        open_session(copied, threads=1)
    except (InputError, UnsupportedError) as error:
        assert str(copied) in str(error)  # noqa: PT017
