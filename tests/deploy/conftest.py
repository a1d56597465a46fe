"""A model small enough to convert in every test, and images to calibrate it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import SIZE, tiny_module

from mobiledeploy.contract import Preprocessing, Provenance
from mobiledeploy.source import SourceModel


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of the test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))


@pytest.fixture
def tiny() -> SourceModel:
    return SourceModel(
        tiny_module(),
        (torch.zeros(1, 3, SIZE, SIZE),),
        "image-classification",
        Preprocessing(SIZE, SIZE, resize_to=18, mean=(127.5,) * 3, std=(127.5,) * 3),
        ("ant", "bee", "cat", "dog"),
        Provenance(model="tiny", weights="random"),
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 30 images, coarse noise."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(30):
        pixels = generator.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 40), Image.Resampling.BILINEAR).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def tiny_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same kind of model as ``package.module:callable``, in the current folder."""
    (tmp_path / "tiny_user_model.py").write_text(
        "import torch\n"
        "def build():\n"
        "    print('noise on stdout')\n"
        "    torch.manual_seed(0)\n"
        "    layers = [torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)]\n"
        "    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4, 3)).eval()\n"
        "    return net, torch.zeros(1, 3, 12, 12)\n"
        "def unsupported():\n"
        "    class Odd(torch.nn.Module):\n"
        "        def forward(self, x):\n"
        "            return torch.linalg.svdvals(x) + torch.special.bessel_j0(x).sum()\n"
        "    return Odd().eval(), torch.zeros(1, 3, 12, 12)\n"
    )
    monkeypatch.chdir(tmp_path)
    return "tiny_user_model:build"
