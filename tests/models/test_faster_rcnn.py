"""Faster R-CNN: crops, decoding, conversion; its cost is in test_paper.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from mobiledeploy import models
from mobiledeploy.contract import TARGETS, Contract, Suppression
from mobiledeploy.converters import write
from mobiledeploy.converters.describe import describe
from mobiledeploy.converters.export import export
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.proposals import paired
from mobiledeploy.deploy.verification import run_file
from mobiledeploy.detection import candidates_of, decode_proposals, proposal_candidates
from mobiledeploy.errors import InputError
from mobiledeploy.models.boxes import encode, overlaps, to_centres
from mobiledeploy.models.faster_rcnn import (
    OVERLAP,
    PROPOSALS,
    FasterRCNN,
    ProposalDecoding,
    anchors_of,
    classes_of,
    crop,
    propose,
)
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.source import SourceModel

SCALES = torch.tensor((10.0, 10.0, 5.0, 5.0))


def small() -> SourceModel:
    source = models.load("faster_rcnn_mobilenet_v1", weights="random", width=0.25, resolution=64)
    module = source.module
    assert isinstance(module, FasterRCNN)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # Untrained heads answer the same everywhere.
        for head in (module.box_head, module.class_head):
            head.bias.normal_(0, 2, generator=generator)
            head.weight.mul_(30)
    return source


def test_crops_are_bilinear() -> None:
    features = torch.randn(1, 3, 5, 7)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.1, 0.7, 0.4], [0.5, 0.5, 0.5, 0.5]])
    for box, found in zip(boxes, crop(features, boxes, 6), strict=True):
        top, left, bottom, right = box.tolist()
        rows, columns = torch.linspace(top, bottom, 6), torch.linspace(left, right, 6)
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1) * 2 - 1
        wanted = functional.grid_sample(features, grid[None], align_corners=True)[0]
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_proposals_are_apart_and_the_most_certain_first() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors = anchors_of((300, 300), (19, 19))
    assert len(anchors.grids[0].sizes) == 12
    np.testing.assert_allclose(anchors.grids[0].sizes[4], (128 / 300, 128 / 300))
    origins = torch.rand(500, 4, generator=generator) * 0.3 + 0.35
    coded, logits = torch.randn(500, 4, generator=generator), torch.randn(500, 2, generator=generator)
    proposals = propose(coded, logits, origins)
    assert proposals.shape == (PROPOSALS, 4)
    count = int(proposals.any(dim=1).sum())
    assert 10 < count < PROPOSALS
    shares = overlaps(proposals[:count], proposals[:count]) - torch.eye(count)
    assert shares.max() <= OVERLAP + 1e-6
    assert not proposals[count:].any()
    best = int((logits[:, 1] - logits[:, 0]).argmax())
    assert overlaps(proposals[:1], propose(coded[best:][:1], logits[best:][:1], origins[best:][:1])) > 0.999


def test_decoding_by_hand() -> None:
    """Class 1 of proposal 0 has its own box, proposal 1 is none, proposal 2 is background."""
    proposals = np.array([[0.2, 0.2, 0.6, 0.8], [0, 0, 0, 0], [0.1, 0.1, 0.3, 0.3]])
    wanted = torch.tensor([[0.25, 0.3, 0.5, 0.9]])
    coded = np.zeros((3, 3 * 4), np.float32)
    coded[0, 4:8] = encode(wanted, to_centres(torch.from_numpy(proposals[:1]).float()), SCALES)[0]
    logits = np.array([[0.0, 1, 4, 0], [0, 9, 0, 0], [9, 0, 0, 0]])
    found = decode_proposals(proposals, coded, logits)
    assert found.classes.tolist() == [1]
    np.testing.assert_allclose(found.boxes, wanted, atol=1e-6)
    np.testing.assert_allclose(found.scores, np.exp(4) / np.exp(logits[0]).sum())
    with pytest.raises(InputError, match="do not fit"):
        decode_proposals(proposals, coded[:, :8], logits)


def test_decoding_in_the_graph_is_decoding_in_numpy() -> None:
    random = np.random.default_rng(0)
    corners = np.sort(random.uniform(0, 1, (20, 2, 2)), axis=1).reshape(20, 4).astype(np.float32)
    corners[15:] = 0
    coded, logits = (
        random.normal(size=(20, 12)).astype(np.float32),
        random.normal(size=(20, 4)).astype(np.float32),
    )
    wanted = proposal_candidates(corners, coded, logits)
    raw = (torch.from_numpy(array)[None] for array in (corners, coded, logits))
    boxes, scores = ProposalDecoding()(*raw)
    np.testing.assert_allclose(boxes.permute(1, 0, 2), wanted[0], atol=1e-5)
    np.testing.assert_allclose(scores.t(), wanted[1], atol=1e-6)
    assert not scores[:, 15:].any()


def test_outputs_and_classes() -> None:
    source = small()
    with torch.inference_mode():
        found = source.module(*source.example_input)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        # All 4 x 4 x 12 anchors: fewer than 300.
        "proposals": (1, 192, 4),
        "boxes": (1, 192, 360),
        "classes": (1, 192, 91),
    }
    assert classes_of(FasterRCNN(0.25, 5).state_dict()) == 5
    outputs = {name: value.numpy() for name, value in found.items()}
    boxes, scores = candidates_of(Contract((), ()), outputs)
    assert (boxes.shape, scores.shape) == ((192, 90, 4), (192, 90))


def test_rows_are_paired_by_proposal() -> None:
    random = np.random.default_rng(0)
    wanted = [random.uniform(0, 1, (1, 40, columns)) for columns in (4, 8)]
    order = random.permutation(40)
    actual = [array[:, order] for array in wanted]
    ours, theirs, others = paired([actual], [wanted], 0)
    np.testing.assert_array_equal(ours[0][1], theirs[0][1])
    assert others == 0
    actual[0][0, :4] += 2
    ours, theirs, others = paired([actual], [wanted], 0)
    assert others == pytest.approx(0.1)
    assert not ours[0][1][0, :4].any()


@pytest.mark.slow
def test_its_program_is_read_by_another_process(tmp_path: Path) -> None:
    source = models.load("faster_rcnn_mobilenet_v1", weights="random", width=0.25, resolution=64)
    torch.export.save(torch.export.export(source.module, source.example_input), tmp_path / "net.pt2")
    read = (
        f"from mobiledeploy.models import load; print(load({str(tmp_path / 'net.pt2')!r}).provenance.model)"
    )

    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)

    assert done.stdout == "net.pt2\n", done.stderr


@pytest.mark.slow
def test_every_format_computes_what_pytorch_does(tmp_path: Path) -> None:
    source = small()
    for made in convert_all(source, TARGETS, name="m", output=tmp_path):
        assert made.verification is not None
        assert made.verification.passed
    rule = Suppression(0.02, 0.5, 30)
    (made,) = convert_all(source, ("tflite",), name="n", output=tmp_path, suppression=rule)
    assert made.verification is not None
    assert made.verification.passed
    session = open_session(made.artifact.path, threads=1)
    _, _, found = run_file(made.artifact, session, (source.example_input[0].numpy(),))
    assert found["count"][0] > 3


@pytest.mark.slow
def test_layers_become_int8_and_boxes_stay_float(tmp_path: Path) -> None:
    source = small()
    program = export(source)
    inputs = [(source.example_input[0] * scale,) for scale in (0.5, 1)]
    plain = Recipe(equalisation="off", bias_correction="none", rounding="nearest")
    quantized = quantize(program, inputs, plain).program
    simulated = quantized.module()(*source.example_input)
    assert all(node.meta["val"].dtype != torch.int8 for node in _behind_proposals(quantized))
    path = tmp_path / "m.tflite"
    write("tflite", quantized, describe(source, quantized, "tflite"), "int8", path)
    artifact = read_artifact(path)
    assert {op.weights for op in artifact.contents.ops if op.mult_adds and op.weights} == {"int8"}
    session = open_session(path, threads=1)
    _, _, found = run_file(artifact, session, (source.example_input[0].numpy(),))
    wanted = [simulated[name].detach().numpy() for name in found]
    ours, theirs, others = paired([list(found.values())], [wanted], 0)
    assert others < 0.2
    for name, a, b in zip(found, ours[0], theirs[0], strict=True):
        assert np.abs(a - b).mean() <= 0.02 * np.abs(b).mean(), name


def _behind_proposals(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    """From the suppression to the products that crop."""
    (first,) = (node for node in program.graph.nodes if "non_max_suppression" in str(node.target))
    found: list[torch.fx.Node] = []
    pending = [first]
    while pending:
        node = pending.pop()
        found.append(node)
        if str(node.target) != "aten.max_pool2d.default":
            pending += [user for user in node.users if user.op == "call_function" and user not in found]
    return [node for node in found if isinstance(node.meta.get("val"), torch.Tensor)]
