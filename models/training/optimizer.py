"""Optimizers, what decays in them, and the learning rate of a step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from mobiledeploy.models.training.settings import Settings

# Inception V3 (arXiv 1512.00567, section 8): RMSprop's decay and epsilon, and the schedule's factor.
_RMS_DECAY, _RMS_EPSILON, _EXPONENTIAL = 0.9, 1.0, 0.94


def make_optimizer(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of the settings over a module's parameters.

    Weights decay, depthwise filters as much as the settings say, biases and batch norms not at all
    (arXiv 1704.04861, section 3.2).
    """
    rate, momentum = settings.learning_rate, settings.momentum
    groups = _groups(module, settings)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=momentum, nesterov=momentum > 0)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, rate)
    return torch.optim.RMSprop(groups, rate, alpha=_RMS_DECAY, eps=_RMS_EPSILON, momentum=momentum)


def rate_at(settings: Settings, epoch: float) -> float:
    """The learning rate at a time.

    Args:
        settings: give its height and shape.
        epoch: epochs since the beginning, with a fraction.
    """
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * epoch / settings.warmup_epochs
    since = epoch - settings.warmup_epochs
    if settings.schedule == "exponential":
        return settings.learning_rate * _EXPONENTIAL ** int(since / settings.decay_epochs)
    whole = max(settings.epochs - settings.warmup_epochs, 1e-9)
    return settings.learning_rate * (1 + math.cos(math.pi * min(since / whole, 1))) / 2


def _groups(module: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    decays: dict[float, list[nn.Parameter]] = {}
    for layer in module.modules():
        for parameter in layer.parameters(recurse=False):
            decays.setdefault(_decay(layer, parameter, settings), []).append(parameter)
    return [{"params": parameters, "weight_decay": decay} for decay, parameters in decays.items()]


def _decay(layer: nn.Module, parameter: nn.Parameter, settings: Settings) -> float:
    if parameter.ndim < 2:
        return 0.0
    depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
    return settings.depthwise_weight_decay if depthwise else settings.weight_decay
