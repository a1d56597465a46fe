"""What decays, and how the learning rate goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mobiledeploy.models.mobilenet_v1 import MobileNetV1
from mobiledeploy.models.training.averaging import Average
from mobiledeploy.models.training.optimizer import make_optimizer, rate_at
from mobiledeploy.models.training.settings import Settings, make_settings


def test_depthwise_filters_biases_and_norms_do_not_decay() -> None:
    network = MobileNetV1(0.25, 10)
    decay_of = {
        parameter: group["weight_decay"]
        for group in make_optimizer(network, Settings()).param_groups
        for parameter in group["params"]
    }

    assert len(decay_of) == len(list(network.parameters()))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            depthwise = layer.groups > 1
            assert decay_of[layer.weight] == (0 if depthwise else 4e-5)
        if isinstance(layer, nn.BatchNorm2d):
            assert decay_of[layer.weight] == decay_of[layer.bias] == 0
    assert decay_of[network.classifier.weight] == 4e-5
    assert decay_of[network.classifier.bias] == 0


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adamw"])
def test_every_optimizer_makes_a_step(name: str) -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    optimizer = make_optimizer(layer, make_settings("paper", {"optimizer": name}))

    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()

    assert not torch.equal(layer.weight, before)


def test_rate_falls_by_six_percent_every_two_epochs() -> None:
    settings = Settings()

    rates = [rate_at(settings, epoch) for epoch in (0, 1.9, 2, 4)]

    assert rates == pytest.approx([0.045, 0.045, 0.045 * 0.94, 0.045 * 0.94**2])


def test_cosine_rises_first_and_ends_at_nothing() -> None:
    settings = make_settings("modern", {"epochs": 10, "warmup_epochs": 2, "learning_rate": 1})

    rates = [rate_at(settings, epoch) for epoch in (0, 1, 2, 6, 10)]

    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-9)


def test_average_follows_weights_and_statistics() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = Average(network, 0.5)
    with torch.no_grad():
        network[0].weight += 1
        network[1].running_mean += 1
        network[1].num_batches_tracked += 7

    average.update(network, 100)

    assert (average.module[0].weight - network[0].weight).item() == pytest.approx(-0.5)
    assert average.module[1].running_mean == pytest.approx(0.5)
    assert average.module[1].num_batches_tracked == 7


def test_average_of_few_steps_is_of_few() -> None:
    network = nn.Linear(1, 1)
    average = Average(network, 0.9999)
    with torch.no_grad():
        network.weight += 1

    average.update(network, 0)

    assert (network.weight - average.module.weight).item() == pytest.approx(0.1)
