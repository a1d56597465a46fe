"""Losses of Faster R-CNN."""

from __future__ import annotations

import pytest
import torch

from mobiledeploy.detection import PROPOSAL_SCALES
from mobiledeploy.models.boxes import encode, from_centres, to_centres
from mobiledeploy.models.detection_losses import Truth
from mobiledeploy.models.faster_rcnn import FasterRCNN
from mobiledeploy.models.faster_rcnn_loss import _anchor_loss, _proposal_loss, _sample, faster_rcnn_loss

TRUTH: Truth = (torch.tensor([[0.1, 0.1, 0.6, 0.7], [0.3, 0.4, 0.9, 0.95]]), torch.tensor([2, 0]))
NONE: Truth = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
SCALES = torch.tensor(PROPOSAL_SCALES)


def test_samples_are_of_both_kinds() -> None:
    matched = torch.zeros(100, dtype=torch.bool)
    matched[:40] = True
    ignored = torch.zeros(100, dtype=torch.bool)
    ignored[90:] = True
    chosen = _sample(matched, ~matched & ~ignored, 32, 0.25)
    assert len(set(chosen.tolist())) == 32
    assert int(matched[chosen].sum()) == 8
    assert not ignored[chosen].any()
    # Too few of a kind: the others fill up, as far as they go.
    assert len(_sample(matched, ~matched, 200, 0.5)) == 100
    assert len(_sample(~matched & matched, ~matched, 32, 0.5)) == 32


def test_right_anchors_cost_nothing_and_those_between_count_for_nothing() -> None:
    origins = to_centres(torch.tensor([[0.1, 0.1, 0.6, 0.7], [0.1, 0.1, 0.6, 0.4], [0.7, 0.0, 0.9, 0.1]]))
    box = TRUTH[0][:1]
    coded = encode(box.expand(3, 4), origins, SCALES)
    logits = torch.tensor([[-20.0, 20], [20, -20], [20, -20]])
    # The second anchor overlaps the object by half.
    assert _anchor_loss(coded, logits, origins, box) < 1e-6
    logits[1] = -logits[1]
    assert _anchor_loss(coded, logits, origins, box) < 1e-6
    logits[2] = -logits[2]
    assert _anchor_loss(coded, logits, origins, box) == pytest.approx(20, rel=1e-4)
    logits[2] = -logits[2]
    coded[0, 0] += 3
    assert _anchor_loss(coded, logits, origins, box) == pytest.approx(2 * 2.5 / 2, rel=1e-4)


def test_right_proposals_cost_nothing() -> None:
    boxes, classes = TRUTH
    proposals = torch.tensor([[0.1, 0.15, 0.6, 0.7], [0.0, 0.0, 0.1, 0.1]])
    own = torch.tensor([0, -1])
    coded, logits = torch.full((2, 3 * 4), 7.0), torch.full((2, 4), -20.0)
    coded[0, 8:12] = encode(boxes[:1], to_centres(proposals[:1]), SCALES)[0]
    logits[0, 3] = logits[1, 0] = 20
    assert _proposal_loss(coded, logits, proposals, own, boxes, classes) < 1e-5
    coded[0, 0] = 99  # another class's box
    assert _proposal_loss(coded, logits, proposals, own, boxes, classes) < 1e-5
    coded[0, 8] += 3
    loss = _proposal_loss(coded, logits, proposals, own, boxes, classes)
    assert loss == pytest.approx(2 * 2.5 / 2, rel=1e-4)


def test_all_layers_learn_from_it() -> None:
    torch.manual_seed(0)
    model = FasterRCNN(0.125, 3)
    images = torch.randn(2, 3, 32, 32)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = faster_rcnn_loss(model, images, [TRUTH, NONE])
        loss.backward()
        assert all(
            value.grad is not None and torch.isfinite(value.grad).all() for value in model.parameters()
        )
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_origins_are_where_the_anchors_are() -> None:
    model = FasterRCNN(0.125, 3)
    images = torch.zeros(1, 3, 64, 64)
    corners = from_centres(model.origins(images, model.body(images)))
    assert corners.shape == (4 * 4 * 12, 4)
    torch.testing.assert_close(corners[1], torch.tensor([0.125 - 0.5, 0.125 - 0.5, 0.125 + 0.5, 0.125 + 0.5]))
