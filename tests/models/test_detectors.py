"""SSD and SSDLite: anchors, sizes, conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mobiledeploy import models
from mobiledeploy.contract import TARGETS, Contract
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.costing import cost_of
from mobiledeploy.detection import anchor_boxes, decode
from mobiledeploy.models.ssd import _rows, anchors_at, ssd_v1
from mobiledeploy.runtimes.formats import open_session

NAMES = (
    "ssd_mobilenet_v1",
    "ssdlite_mobilenet_v2",
    "ssdlite_mobilenet_v3_large",
    "ssdlite_mobilenet_v3_small",
)


def test_anchors_of_ssd_300() -> None:
    """1917 of them: three on 19 x 19 cells, six on 10 x 10, 5 x 5, 3 x 3, 2 x 2 and 1 x 1."""
    anchors = anchors_at(300)
    assert [(grid.rows, len(grid.sizes)) for grid in anchors.grids] == [
        (19, 3),
        (10, 6),
        (5, 6),
        (3, 6),
        (2, 6),
        (1, 6),
    ]
    assert anchor_boxes(anchors).shape == (1917, 4)
    # Scales 0.2 to 0.95 in equal steps, the sixth anchor between two of them.
    np.testing.assert_allclose([grid.sizes[0][0] for grid in anchors.grids[1:]], (0.35, 0.5, 0.65, 0.8, 0.95))
    np.testing.assert_allclose(anchors.grids[1].sizes[-1], np.sqrt(0.35 * 0.5))
    np.testing.assert_allclose(anchors.grids[0].sizes[1], (0.2 / np.sqrt(2), 0.2 * np.sqrt(2)))


@pytest.mark.parametrize(("name", "resolution"), [*((name, 96) for name in NAMES), (NAMES[0], 300)])
def test_outputs_have_a_row_for_every_anchor(name: str, resolution: int) -> None:
    source = models.load(name, weights="random", width=0.25, resolution=resolution)
    with torch.inference_mode():
        found = source.module(*source.example_input)
    assert source.anchors is not None
    count = len(anchor_boxes(source.anchors))
    assert found["boxes"].shape == (1, count, 4)
    assert found["classes"].shape == (1, count, 91)
    assert source.task == "object-detection"


def test_rows_are_in_the_anchors_order() -> None:
    """A head that answers one cell alone: the rows of that cell's anchors, and no others, tell it."""
    maps = [torch.zeros(1, 1, side, side) for side in (3, 2, 1, 1, 1, 1)]
    maps[0][0, 0, 1, 2] = 1  # row 1, column 2 of the first map
    heads = torch.nn.ModuleList(torch.nn.Conv2d(1, 4 * n, 1, bias=False) for n in (3, 6, 6, 6, 6, 6))
    with torch.no_grad():
        for head in heads:
            head.weight.fill_(1)
        rows = _rows(heads, maps, 4)[0].any(dim=1)
    assert rows.nonzero().flatten().tolist() == [3 * (1 * 3 + 2) + index for index in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "mult_adds", "parameters"),
    [
        ("ssd_mobilenet_v1", 90, 1.2e9, 6.8e6),  # Table 13
        ("ssdlite_mobilenet_v2", 80, 0.80e9, 4.3e6),  # arXiv 1801.04381, Table 6
        ("ssdlite_mobilenet_v3_large", 90, 0.62e9, 4.97e6),  # arXiv 1905.02244, Table 6
    ],
)
def test_costs_what_its_paper_says(
    name: str, classes: int, mult_adds: float, parameters: float, tmp_path: Path
) -> None:
    entry = next(entry for entry in models.entries() if entry.name == name)
    with torch.device("meta"):
        state = entry.build(1.0, classes).state_dict()
    weights = tmp_path / "weights.pth"
    torch.save({key: torch.zeros(value.shape) for key, value in state.items()}, weights)
    found = cost_of(name, weights=weights)
    assert found.mult_adds == pytest.approx(mult_adds, rel=0.05)
    assert found.parameters == pytest.approx(parameters, rel=0.01)


def test_weights_say_how_many_classes(tmp_path: Path) -> None:
    torch.save(ssd_v1(0.25, 3).state_dict(), tmp_path / "mine.pth")
    source = models.load("ssd_mobilenet_v1", weights=tmp_path / "mine.pth", width=0.25, resolution=64)
    with torch.inference_mode():
        assert source.module(*source.example_input)["classes"].shape[-1] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_format_computes_what_pytorch_does(name: str, tmp_path: Path) -> None:
    source = models.load(name, weights="random", width=0.25, resolution=128)
    for conversion in convert_all(source, TARGETS, name="m", output=tmp_path):
        assert conversion.verification is not None
        assert conversion.verification.passed
        contract = conversion.artifact.contract
        assert contract is not None
        assert contract.task == "object-detection"
        assert contract.anchors == anchors_at(128)
        assert [spec.name for spec in contract.outputs] == ["boxes", "classes"]
        _decodes(conversion.artifact.path, contract)


def _decodes(path: Path, contract: Contract) -> None:
    """The file and its contract are enough to find objects."""
    session = open_session(path, threads=1)
    (spec,) = session.inputs
    results = session.run([np.random.default_rng(0).normal(size=spec.shape).astype(spec.dtype)])
    by_name = dict(zip([output.name for output in session.outputs], results, strict=True))
    assert contract.anchors is not None
    found = decode(by_name["boxes"][0], by_name["classes"][0], contract.anchors, threshold=0.01)
    assert len(found.scores) > 0
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.slow
def test_int8_in_every_format(tmp_path: Path) -> None:
    source = models.load("ssd_mobilenet_v1", weights="random", width=0.25, resolution=96)
    made = convert_all(
        source, TARGETS, name="m", precision="int8", calibration="none", output=tmp_path, verify=False
    )
    for conversion in made:
        assert conversion.artifact.contract is not None
        assert conversion.artifact.contract.anchors == anchors_at(96)
        assert (
            "int8" in conversion.artifact.census.arithmetic or "full" in conversion.artifact.census.arithmetic
        )
