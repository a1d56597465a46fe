"""Matching and losses of detectors."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mobiledeploy.contract import AnchorGrid, Anchors
from mobiledeploy.detection import anchor_boxes, decode, decode_boxes, encode_boxes
from mobiledeploy.models import boxes as coder
from mobiledeploy.models.detection_losses import Truth, match, ssd_loss

ANCHORS = Anchors((AnchorGrid(4, 4, ((0.3, 0.3), (0.2, 0.5))), AnchorGrid(1, 1, ((0.9, 0.9),))))
COUNT = 33
SCALES = torch.tensor(ANCHORS.scales)
CLASSES = 5


def random_boxes(seed: int, count: int) -> torch.Tensor:
    corners = np.sort(np.random.default_rng(seed).uniform(0, 0.95, (count, 2, 2)), axis=1)
    corners[:, 1] += 0.05
    return torch.from_numpy(corners.reshape(count, 4)).float()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_coder_is_that_of_the_contract(seed: int) -> None:
    boxes = random_boxes(seed, COUNT)
    origins = torch.from_numpy(anchor_boxes(ANCHORS)).float()
    coded = coder.encode(boxes, origins, SCALES)
    np.testing.assert_allclose(coded, encode_boxes(boxes.numpy(), ANCHORS), atol=1e-4)
    noise = torch.randn(COUNT, 4, generator=torch.Generator().manual_seed(seed % 1000)) * 10
    decoded = coder.decode(noise, origins, SCALES)
    np.testing.assert_allclose(decoded, decode_boxes(noise.numpy(), ANCHORS), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(coder.from_centres(coder.to_centres(boxes)), boxes, atol=1e-6)


def test_wild_offsets_stay_finite() -> None:
    found = coder.decode(torch.full((1, 4), 1e6), torch.full((1, 4), 0.5), SCALES)
    assert torch.isfinite(found).all()


def test_overlaps_by_hand() -> None:
    first = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]])
    second = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.6, 0.6, 1.0, 1.0], [0.3, 0.3, 0.3, 0.3]])
    np.testing.assert_allclose(coder.overlaps(first, second), [[0.5, 0.16, 0], [0.5, 0, 0]], atol=1e-7)


def test_a_box_takes_the_object_that_it_overlaps_most() -> None:
    truths = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.4, 0.5]])
    boxes = torch.tensor([[0.0, 0, 0.5, 0.5], [0, 0, 0.41, 0.5], [0.1, 0, 0.5, 0.5], [0.6, 0.6, 1, 1]])
    assert match(truths, boxes).tolist() == [0, 1, 0, -1]
    assert match(truths, boxes, 0.9).tolist() == [0, 1, -1, -1]


def test_an_object_that_nothing_overlaps_well_takes_the_best_box() -> None:
    truths = torch.tensor([[0.0, 0.0, 0.1, 0.1], [0.0, 0.0, 0.2, 0.1]])
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    # Both want the first box: it is the one's that it overlaps more.
    assert match(truths, boxes).tolist() == [1, -1]
    assert match(truths[:0], boxes).tolist() == [-1, -1]
    # What lies outside of all boxes takes none.
    assert match(torch.tensor([[2.0, 2.0, 3.0, 3.0]]), boxes).tolist() == [-1, -1]


def perfect(truth: Truth) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model would have to answer."""
    origins = torch.from_numpy(anchor_boxes(ANCHORS)).float()
    found = match(truth[0], coder.from_centres(origins))
    matched = found >= 0
    coded, logits = torch.zeros(COUNT, 4), torch.full((COUNT, 1 + CLASSES), -30.0)
    coded[matched] = coder.encode(truth[0][found[matched]], origins[matched], SCALES)
    logits[~matched, 0] = 30
    logits[matched, truth[1][found[matched]] + 1] = 30
    return coded, logits


def test_the_right_answer_costs_nothing_and_is_decoded_to_the_truth() -> None:
    truth = (torch.tensor([[0.1, 0.1, 0.45, 0.4], [0.02, 0.03, 0.97, 0.99]]), torch.tensor([3, 1]))
    coded, logits = perfect(truth)
    assert ssd_loss((coded[None], logits[None]), [truth], ANCHORS) < 1e-4
    found = decode(coded.numpy(), logits.numpy(), ANCHORS)
    assert sorted(found.classes.tolist()) == [1, 3]
    order = np.argsort(-found.classes)
    np.testing.assert_allclose(found.boxes[order], truth[0], atol=1e-5)


def test_each_mistake_costs() -> None:
    truth = (torch.tensor([[0.1, 0.1, 0.45, 0.4]]), torch.tensor([2]))
    coded, logits = perfect(truth)
    matched = int(logits[:, 3].argmax())
    shifted = coded.clone()
    shifted[matched, 0] += 3
    # Smooth L1 of 3 is 2.5, for one matched anchor.
    matches = int((logits[:, 0] < 0).sum())
    loss = ssd_loss((shifted[None], logits[None]), [truth], ANCHORS)
    np.testing.assert_allclose(loss, 2.5 / matches, atol=1e-4)
    unseen = logits.clone()
    unseen[matched, 3] = -5
    assert ssd_loss((coded[None], unseen[None]), [truth], ANCHORS) > 1 / matches


def test_the_hardest_background_counts_and_no_more_than_three_for_each_match() -> None:
    truth = (torch.tensor([[0.05, 0.05, 0.95, 0.95]]), torch.tensor([0]))
    coded, logits = perfect(truth)
    assert int((logits[:, 0] < 0).sum()) == 1
    logits[:32, 1] = torch.linspace(0, 10, 32)  # all anchors but the last are background
    wrong = torch.nn.functional.softplus(logits[29:32, 1]).sum()
    np.testing.assert_allclose(ssd_loss((coded[None], logits[None]), [truth], ANCHORS), wrong, rtol=1e-5)
    # Without an object, three too.
    empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    logits[32] = logits[0]
    np.testing.assert_allclose(ssd_loss((coded[None], logits[None]), [empty], ANCHORS), wrong, rtol=1e-5)


def test_boxes_without_an_area_are_left_out() -> None:
    coded, logits = torch.zeros(1, COUNT, 4), torch.zeros(1, COUNT, 1 + CLASSES)
    truth = (torch.tensor([[0.2, 0.2, 0.2, 0.6], [0.1, 0.1, 0.5, 0.5]]), torch.tensor([0, 1]))
    alone = (truth[0][1:], truth[1][1:])
    ours = ssd_loss((coded, logits), [truth], ANCHORS)
    assert torch.isfinite(ours)
    assert ours == ssd_loss((coded, logits), [alone], ANCHORS)


def test_a_head_learns_from_it() -> None:
    """Gradient descent on free outputs ends in boxes that decode to the truth."""
    truths = [
        (torch.tensor([[0.1, 0.1, 0.5, 0.5]]), torch.tensor([4])),
        (torch.tensor([[0.4, 0.3, 0.7, 0.6], [0.05, 0.1, 0.9, 0.9]]), torch.tensor([0, 2])),
    ]
    coded = torch.zeros(2, COUNT, 4, requires_grad=True)
    logits = torch.zeros(2, COUNT, 1 + CLASSES, requires_grad=True)
    optimiser = torch.optim.Adam([coded, logits], lr=0.3)
    for _ in range(150):
        optimiser.zero_grad()
        ssd_loss((coded, logits), truths, ANCHORS).backward()
        optimiser.step()
    for offsets, rows, (boxes, classes) in zip(coded.detach(), logits.detach(), truths, strict=True):
        found = decode(offsets.numpy(), rows.numpy(), ANCHORS, threshold=0.5)
        order, wanted = np.argsort(found.classes), np.argsort(classes.numpy())
        assert found.classes[order].tolist() == classes[wanted].tolist()
        np.testing.assert_allclose(found.boxes[order], boxes[wanted], atol=0.02)
