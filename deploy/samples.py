"""Inputs that a file and its source are compared on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.errors import InputError
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import numpy as np
    import torch

Sample = tuple["np.ndarray", ...]
Pattern = Callable[[tuple[int, ...]], "np.ndarray"]

SEED = 20170417
RANDOM_SAMPLES = 4
BLOCK = 16


@dataclass(frozen=True, slots=True)
class Reference:
    """What a source computes on the samples; shared by all files made from it.

    Attributes:
        samples: inputs as the source takes them, seeded ones first.
        outputs: for each sample, the source's outputs in the order of ``torch.export``.
        images: how many of the samples are real images.
        tolerances: per output, what a file may differ by where its arithmetic is coarse by design;
            None where the precision's share of the range counts.
    """

    samples: tuple[Sample, ...]
    outputs: tuple[tuple[np.ndarray, ...], ...]
    images: int
    tolerances: tuple[float, ...] | None = None


def take_reference(source: SourceModel, images: Sequence[Path] = ()) -> Reference:
    """Run a source on the seeded samples and on real images.

    Raises:
        InputError: the model does not run on its own example input, or does not take these images.
    """
    samples = (*seeded_samples(source), *(image_samples(source, images) if images else ()))
    return reference_on(source, samples, len(images))


def reference_on(source: SourceModel, samples: tuple[Sample, ...], images: int) -> Reference:
    """Run a source on samples, ``images`` of which are real images.

    Raises:
        InputError: the model does not run on them.
    """
    with one_thread():
        return Reference(samples, tuple(_run(source, sample) for sample in samples), images)


def simulate(module: torch.nn.Module, samples: Sequence[Sample]) -> tuple[tuple[np.ndarray, ...], ...]:
    """Outputs of a module on samples."""
    import torch
    from torch.utils._pytree import tree_leaves

    with one_thread(), torch.inference_mode():
        results = [module(*(torch.from_numpy(array.copy()) for array in sample)) for sample in samples]
    return tuple(tuple(_array(leaf) for leaf in tree_leaves(result)) for result in results)


@contextmanager
def one_thread() -> Iterator[None]:
    """For single images of small models: on a busy machine torch's threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def seeded_samples(source: SourceModel) -> list[Sample]:
    """The same inputs on every machine, one array per input, shaped as the source takes them.

    First the example input; then, for an image, pixels that are all black, all white, a ramp,
    coarse noise and fine noise.  Other float inputs get the same patterns over -1..1.  Integer
    inputs that are no image keep the example's values, as any other may be out of range.
    """
    import numpy as np

    samples: list[Sample] = [tuple(_array(tensor) for tensor in source.example_input)]
    generator = np.random.default_rng(SEED)
    samples += [
        tuple(_fill(example, pattern, source.preprocessing) for example in samples[0])
        for pattern in _patterns(generator)
    ]
    return samples


def image_samples(source: SourceModel, images: Iterable[Path]) -> Iterator[Sample]:
    """Real images through the source's own preprocessing, one at a time.

    Raises:
        InputError: the model takes no image, or a file is no image.
    """
    from mobiledeploy.images import load_image
    from mobiledeploy.preprocessing import to_input

    rule = image_rule(source, "Leave the images out, or give the model a preprocessing")
    example = _array(source.example_input[0])
    spec = TensorSpec("image", example.shape, str(example.dtype), "NCHW", "image")
    for path in images:
        yield (to_input(load_image(path), rule, spec),)


def image_rule(source: SourceModel, hint: str) -> Preprocessing:
    """How an image becomes the source's only input.

    Raises:
        InputError: it takes something else, or does not say; ``hint`` is what to do.
    """
    if source.preprocessing is None or len(source.example_input) != 1:
        raise InputError(
            "the model does not take one image, or does not say how to prepare it",
            where=source.provenance.model,
            hint=hint,
        )
    return source.preprocessing


def _run(source: SourceModel, sample: Sample) -> tuple[np.ndarray, ...]:
    """The source's outputs, flattened in the order that torch.export gives them."""
    import torch
    from torch.utils._pytree import tree_leaves

    try:
        with torch.inference_mode():
            result = source.module(*(torch.from_numpy(array.copy()) for array in sample))
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the model does not run on its inputs ({(str(error) or type(error).__name__).splitlines()[0]})",
            where=source.provenance.model,
            hint="Check the example input's shape and dtype",
        ) from error
    return tuple(_array(leaf) for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))


def _array(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array


def _patterns(generator: np.random.Generator) -> list[Pattern]:
    """Functions from a shape to values in 0..1."""
    import numpy as np

    def ramp(shape: tuple[int, ...]) -> np.ndarray:
        return np.linspace(0, 1, int(np.prod(shape))).reshape(shape)

    def coarse(shape: tuple[int, ...]) -> np.ndarray:
        """Blocks along the last two axes: nearer to a photograph than noise is."""
        flat = shape[: max(0, len(shape) - 2)]
        sizes = shape[len(flat) :]
        blocks: np.ndarray = generator.random((*flat, *(-(-size // BLOCK) for size in sizes)))
        for axis in range(len(flat), len(shape)):
            blocks = np.repeat(blocks, BLOCK, axis=axis)
        return blocks[tuple(slice(size) for size in shape)]

    return [np.zeros, np.ones, ramp, coarse, *[generator.random] * RANDOM_SAMPLES]


def _fill(example: np.ndarray, pattern: Pattern, rule: Preprocessing | None) -> np.ndarray:
    import numpy as np

    if rule is not None and example.ndim == 4:
        pixels = np.rint(pattern(example.shape) * 255)
        shape = (1, len(rule.mean), 1, 1)
        values: np.ndarray = (pixels - np.reshape(rule.mean, shape)) / np.reshape(rule.std, shape)
        return values.astype(example.dtype)
    if np.issubdtype(example.dtype, np.floating):
        values = pattern(example.shape) * 2 - 1
        return values.astype(example.dtype)
    return example
