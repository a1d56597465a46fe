"""What networks are trained for."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.contract import Task
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.models import load
from mobiledeploy.models.training.objectives import OBJECTIVES, distillation, objective_for
from mobiledeploy.models.training.objectives.identities import contrastive
from mobiledeploy.models.training.settings import Settings, make_settings
from mobiledeploy.models.training.views import View
from mobiledeploy.source import SourceModel
from mobiledeploy.truth import TRUTHS
from mobiledeploy.truth.boxes import Boxes

WHOLE = View(0, 0, 100, 100)
NOTHING = [torch.zeros(1)]


def source(task: Task, labels: tuple[str, ...] = ()) -> SourceModel:
    return SourceModel(nn.Identity(), (torch.zeros(1, 3, 8, 8),), task, labels=labels)


def test_every_task_with_ground_truth_can_be_trained() -> None:
    assert set(OBJECTIVES) == set(TRUTHS) <= set(get_args(Task))


def test_other_tasks_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="image-segmentation cannot be trained"):
        objective_for(source("image-segmentation"), Settings())


def test_classes_are_cross_entropy_and_top1() -> None:
    objective = objective_for(source("image-classification"), Settings())
    targets = objective.gather([objective.encode(label, WHOLE) for label in (1, 0)], NOTHING)
    logits = torch.tensor([[0.0, 2.0], [0.0, 3.0]])

    expected = -(logits.log_softmax(1)[0, 1] + logits.log_softmax(1)[1, 0]) / 2
    assert objective.loss(logits, targets) == pytest.approx(float(expected))
    assert (objective.figure, objective.right(logits, targets)) == ("top-1", 1)


def test_smoothing_gives_a_part_to_all_classes() -> None:
    objective = objective_for(
        source("image-classification"), make_settings("paper", {"label_smoothing": 0.5})
    )
    logits = torch.tensor([[0.0, 2.0]])

    logs = logits.log_softmax(1)[0]
    assert objective.loss(logits, torch.tensor([1])) == pytest.approx(float(-0.75 * logs[1] - 0.25 * logs[0]))


def test_unknown_attributes_do_not_count() -> None:
    objective = objective_for(source("multi-label-classification"), Settings())
    labels = [(True, None), (False, True)]
    targets = objective.gather([objective.encode(label, WHOLE) for label in labels], NOTHING)
    one, other = (objective.loss(torch.tensor([[2.0, wild], [-1.0, 0.5]]), targets) for wild in (9.0, -9.0))

    each = [torch.tensor(value).sigmoid().log() for value in (2.0, 1.0, 0.5)]
    assert one == other == pytest.approx(float(-sum(each) / 3))


def test_places_are_the_nearest_cell_across_the_date_line() -> None:
    objective = objective_for(source("geolocation", ("0.00,179.00", "0.00,0.00")), Settings())

    assert objective.encode((0.5, -178.0), WHOLE) == 0
    assert objective.encode((0.5, 60.0), WHOLE) == 1


def test_places_need_cells() -> None:
    with pytest.raises(InputError, match="where its cells are"):
        objective_for(source("geolocation"), Settings())


def test_contrastive_loss_is_that_of_the_definition() -> None:
    vectors = nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    identities = torch.tensor([0, 0, 1, 0, 2])

    expected = []
    for one in range(5):
        same = [other for other in range(5) if other != one and identities[other] == identities[one]]
        if same:
            scores = {other: float(vectors[one] @ vectors[other]) / 0.1 for other in range(5) if other != one}
            whole = np.log(sum(np.exp(score) for score in scores.values()))
            expected.append(-np.mean([scores[other] - whole for other in same]))
    assert contrastive(vectors, identities) == pytest.approx(np.mean(expected), rel=1e-4)


def test_contrastive_loss_of_strangers_is_nothing() -> None:
    loss = contrastive(torch.eye(3, requires_grad=True), torch.tensor([0, 1, 2]))

    loss.backward()
    assert loss == 0


def test_boxes_of_a_view_come_to_the_loss_of_an_ssd() -> None:
    detector = load("ssd_mobilenet_v1", weights="random", width=0.25, resolution=96)
    objective = objective_for(detector, Settings())
    objects = np.array([[10.0, 10.0, 60.0, 60.0], [0.0, 0.0, 5.0, 5.0], [0.0, 0.0, 90.0, 90.0]])
    label = Boxes(objects, np.array([3, 4, 5]), np.array([False, False, True]), np.ones(3), (100, 100))

    boxes, classes = objective.encode(label, View(10, 10, 100, 100))

    assert classes.tolist() == [3]  # one is outside, one is around many objects
    assert boxes == pytest.approx(np.array([[0, 0, 50 / 90, 50 / 90]]))
    with torch.no_grad():
        outputs = detector.module(detector.example_input[0])
    assert objective.loss(outputs, objective.gather([(boxes, classes)], NOTHING)) > 0


def test_detector_without_anchors_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no anchors"):
        objective_for(source("object-detection"), Settings())


class Says(nn.Module):
    """A teacher that says the same of everything."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = torch.tensor([values])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values.expand(len(x), -1)


@pytest.mark.parametrize(
    "task", ["image-classification", "geolocation", "multi-label-classification", "embedding"]
)
def test_distillation_is_least_where_the_student_says_the_same(task: Task) -> None:
    teacher = Says(0.5, -1.0, 2.0)
    objective = distillation(source(task), teacher, make_settings("paper", {"temperature": 2.0}))
    said = objective.gather([objective.encode(None, WHOLE)] * 2, [torch.zeros(2, 1), torch.zeros(2, 1)])
    student = said.clone().requires_grad_()

    objective.loss(student, said).backward()

    assert student.grad.abs().max() < 1e-6
    assert objective.loss(student + torch.tensor([1.0, 0.0, 0.0]), said) > objective.loss(student, said)


def test_distillation_of_embeddings_is_the_squared_difference() -> None:
    objective = distillation(source("embedding"), Says(1.0, 0.0), Settings())
    said = objective.gather([None], [torch.zeros(1, 1)])

    assert objective.loss(torch.tensor([[0.0, 2.0]]), said) == 5


def test_distillation_of_classes_is_the_divergence_at_a_temperature() -> None:
    objective = distillation(
        source("image-classification"), Says(2.0, 0.0), make_settings("paper", {"temperature": 2.0})
    )
    said = objective.gather([None], [torch.zeros(1, 1)])

    p, q = np.exp([1, 0]) / np.exp([1, 0]).sum(), np.array([0.5, 0.5])
    assert objective.loss(torch.zeros(1, 2), said) == pytest.approx(4 * (p * np.log(p / q)).sum(), rel=1e-5)


def test_detectors_are_not_distilled() -> None:
    with pytest.raises(UnsupportedError, match="cannot be distilled"):
        distillation(source("object-detection"), Says(1.0), Settings())
