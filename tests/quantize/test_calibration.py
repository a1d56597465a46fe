from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from mobiledeploy.quantize import quantize
from mobiledeploy.quantize.calibration import KEPT, Inputs, Watched, watch
from mobiledeploy.quantize.graph import tidy
from mobiledeploy.quantize.pt2e import prepare_pt2e
from mobiledeploy.quantize.quantizer import MobileQuantizer
from mobiledeploy.quantize.recipe import Recipe

Export = Callable[..., ExportedProgram]


def test_the_sample_is_bounded_and_evenly_spread() -> None:
    watched = Watched()
    for index in range(5000):
        watched.add((torch.tensor([float(index), -1.0]),))
    assert watched.count == 5000
    seen = [int(inputs[0][0]) for inputs in watched.sample]
    assert KEPT / 2 <= len(seen) <= KEPT
    assert len({later - earlier for earlier, later in pairwise(seen)}) == 1
    assert seen[-1] > 4900


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(small: nn.Module, to_program: Export) -> None:
    def stream(count: int) -> Iterator[Inputs]:
        generator = torch.Generator().manual_seed(4)
        return ((torch.randn(1, 3, 16, 16, generator=generator),) for _ in range(count))

    def kept(count: int) -> tuple[int, int]:
        """(bytes of tensors, bytes of Python objects at the peak)."""
        module = to_program(small).module(check_guards=False)
        tidy(module)
        module = prepare_pt2e(module, MobileQuantizer(Recipe()))
        tracemalloc.start()
        watched = watch(module, stream(count))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        statistics = [m.statistics for m in module.modules() if hasattr(m, "statistics")]
        tensors = [s.counts for s in statistics] + [x for inputs in watched.sample for x in inputs]
        return sum(x.numel() * x.element_size() for x in tensors), peak

    (few, few_peak), (many, many_peak) = kept(KEPT), kept(5 * KEPT)
    assert many <= few
    assert many_peak < 1.5 * few_peak


class Counted:
    """A stream that knows how many of the inputs that it gave are still held."""

    def __init__(self, count: int) -> None:
        self.count, self.alive, self.most = count, 0, 0

    def __iter__(self) -> Iterator[Inputs]:
        generator = torch.Generator().manual_seed(4)
        for _ in range(self.count):
            image = torch.randn(1, 3, 8, 8, generator=generator)
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(image, self._gone)
            yield (image,)

    def _gone(self) -> None:
        self.alive -= 1


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Conv2d(4, 4, 3), nn.ReLU6(), nn.Conv2d(4, 2, 1))


def held(count: int, to_program: Export) -> int:
    """Inputs held at most while that many are calibrated on."""
    stream = Counted(count)
    report = quantize(to_program(tiny(), torch.zeros(1, 3, 8, 8)), stream).report
    assert report.inputs == count
    return stream.most


def peak(count: int, to_program: Export) -> int:
    """Bytes of Python objects."""
    tracemalloc.start()
    # Those that equalisation saw, the sample of all, and those on their way.
    assert held(count, to_program) <= 2 * KEPT + 8
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_quantize_holds_few_of_many_inputs(to_program: Export) -> None:
    assert held(300, to_program) <= 2 * KEPT + 8


@pytest.mark.slow
def test_memory_of_quantize_is_flat_in_the_number_of_inputs(to_program: Export) -> None:
    few = max(peak(50, to_program) for _ in range(2))
    assert peak(5000, to_program) < 1.5 * few
