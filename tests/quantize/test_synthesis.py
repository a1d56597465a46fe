"""Inputs made from batch norm statistics."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_nets import SIZE, Gated, Shuffled, Silu, program_of, settle, tidied
from torch import nn
from torch.fx import Interpreter, Node

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe, quantize
from mobiledeploy.quantize.synthesis import synthesise
from mobiledeploy.source import OUTPUT_MOMENTS

Inputs = tuple[torch.Tensor, ...]
LIMITS = (torch.tensor([-1.0, -2.0, -1.5]), torch.tensor([1.0, 2.0, 1.2]))


@pytest.fixture
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast, where what matters is not how near the statistics come."""
    monkeypatch.setattr("mobiledeploy.quantize.synthesis._STEPS", 2)


def distances(module: nn.Module, inputs: list[Inputs]) -> list[float]:
    """Per layer: how far mean and deviation of its channels are from its batch norm's, in deviations."""
    graph = tidied(module)
    kept: dict[Node, list[torch.Tensor]] = {}

    class Watcher(Interpreter):
        def run_node(self, n: Node) -> object:
            result = super().run_node(n)
            if OUTPUT_MOMENTS in n.meta:
                kept.setdefault(n, []).append(result)
            return result

    with torch.no_grad():
        for x in inputs:
            Watcher(graph).run(*x)
    found = []
    for node, values in kept.items():
        mean, deviation = node.meta[OUTPUT_MOMENTS]
        together = torch.cat(values)
        off = (together.mean((0, 2, 3)) - mean).abs() + (together.std((0, 2, 3)) - deviation).abs()
        found.append(float((off / deviation).mean()))
    return found


def noise(count: int) -> list[Inputs]:
    """Evenly distributed over the limits."""
    generator = torch.Generator().manual_seed(5)
    low, high = (limit.reshape(1, 3, 1, 1) for limit in LIMITS)
    return [(low + (high - low) * torch.rand(1, 3, SIZE, SIZE, generator=generator),) for _ in range(count)]


def photographed(module: nn.Module) -> nn.Module:
    """Batch norm statistics from smooth images with an offset, which noise around 0 does not have."""
    torch.manual_seed(7)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    module.train()
    with torch.no_grad():
        for _ in range(4):
            coarse = torch.randn(8, 3, 4, 4) * 0.5 + torch.tensor([0.3, -0.6, 0.2]).reshape(1, 3, 1, 1)
            module(nn.functional.interpolate(coarse, size=SIZE, mode="bilinear").clamp(-1, 1))
    return module.eval()


def test_statistics_come_near_those_of_the_batch_norms(small: nn.Module) -> None:
    net = photographed(small)
    made = synthesise(program_of(net), LIMITS)
    got, plain = distances(net, made), distances(net, noise(len(made)))
    assert len(got) == 4
    # Every layer by a third at least, and all together by more than half.
    assert all(near < 0.67 * far for near, far in zip(got, plain, strict=True))
    assert sum(got) < 0.4 * sum(plain)


def test_sixteen_inputs_within_the_limits(small: nn.Module, fewer_steps: None) -> None:
    made = synthesise(program_of(small), LIMITS, classes=5)
    assert [tuple(tensor.shape) for (tensor,) in made] == [(1, 3, SIZE, SIZE)] * 64
    for channel, (low, high) in enumerate(zip(*(limit.tolist() for limit in LIMITS), strict=True)):
        values = torch.cat([tensor[:, channel] for (tensor,) in made])
        assert low <= float(values.min())
        assert float(values.max()) <= high
        assert float(values.std()) > 0.1 * (high - low)
    assert not any(tensor.requires_grad for (tensor,) in made)


def test_the_same_each_time_and_the_program_stays(small: nn.Module, fewer_steps: None) -> None:
    program = program_of(small)
    before = {name: value.clone() for name, value in program.state_dict.items()}
    first = synthesise(program, LIMITS, classes=5)
    torch.manual_seed(99)
    second = synthesise(program, LIMITS, classes=5)
    assert all(torch.equal(a, b) for (a,), (b,) in zip(first, second, strict=True))
    assert all(torch.equal(before[name], value) for name, value in program.state_dict.items())
    assert not torch.equal(first[0][0], first[1][0])


def test_classes_raise_their_scores(small: nn.Module) -> None:
    program = program_of(small)
    with torch.no_grad():
        with_classes, without = (
            torch.cat([small(*x) for x in synthesise(program, LIMITS, classes=classes)]) for classes in (5, 0)
        )

    def confidence(scores: torch.Tensor) -> float:
        return float(scores.softmax(1).amax(1).mean())

    assert confidence(with_classes) > confidence(without) + 0.02


def test_progress_counts_up_to_its_end(small: nn.Module, fewer_steps: None) -> None:
    seen: list[tuple[int, int]] = []
    synthesise(program_of(small), LIMITS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]


def test_a_model_without_batch_norm_is_refused() -> None:
    program = program_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    with pytest.raises(InputError, match="no batch norm statistics to calibrate from"):
        synthesise(program, LIMITS)


@pytest.mark.parametrize(
    "make", [Shuffled, Silu, lambda: Gated(nn.Hardswish(), nn.Hardsigmoid())], ids=["shuffle", "silu", "gate"]
)
def test_other_networks_and_what_their_int8_version_is_worth(make: Callable[[], nn.Module]) -> None:
    """Static views inside, gates: the gradient descends, and the result calibrates."""
    torch.manual_seed(0)
    net = photographed(settle(make()))
    made = synthesise(program_of(net), LIMITS)
    assert sum(distances(net, made)) < 0.6 * sum(distances(net, noise(len(made))))
    module = quantize(program_of(net), made, Recipe(float_output=True)).program.module()
    with torch.no_grad():
        wanted, got = (torch.cat([model(*x) for x in made]) for model in (net, module))
    assert float(((wanted - got) ** 2).sum()) < 0.02 * float(((wanted - wanted.mean(0)) ** 2).sum())


def test_a_wide_image_and_one_channel(fewer_steps: None) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()).eval()
    limits = (torch.tensor([-1.0]), torch.tensor([1.0]))
    made = synthesise(program_of(net, torch.zeros(1, 1, 8, 20)), limits)
    assert made[0][0].shape == (1, 1, 8, 20)
