"""Golden vectors: images, what the contract makes of them, and what the file answers.

The images are drawn, not photographed, so that they need no file and no licence: a ramp, blocks and
grain, which show a wrong filter, a shift by a pixel and swapped channels alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.deploy.packages.plan import PlannedFile, text_file
from mobiledeploy.preprocessing import to_input
from mobiledeploy.runtimes.session import Session

if TYPE_CHECKING:
    import numpy as np

INDEX = "golden.json"
# (width, height): one that is made smaller and one, of the other orientation, that is mostly made larger.
_SIZES = ((320, 400), (150, 110))
# Of the largest real output: what another processor's kernels may differ by.
_FLOAT_SHARE, _INTEGER_SHARE = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """One image with its input and output.

    Attributes:
        image: uint8, shape (height, width, 3), RGB.
        input: as the file takes it.
        output: as the file gives it.
    """

    image: np.ndarray
    input: np.ndarray
    output: np.ndarray


def make_golden(session: Session, rule: Preprocessing, spec: TensorSpec) -> tuple[GoldenVector, ...]:
    """Prepare the golden images, and run the file on them.

    Args:
        session: of the file.
        rule: the contract's preprocessing.
        spec: the file's input, with its layout.
    """
    from PIL import Image

    vectors = []
    for width, height in _SIZES:
        image = draw(width, height)
        given = to_input(Image.fromarray(image), rule, spec)
        (output,) = session.run([given])
        vectors.append(GoldenVector(image, given, output))
    return tuple(vectors)


def draw(width: int, height: int) -> np.ndarray:
    """An image of whole-number arithmetic alone: the same everywhere.

    Returns:
        uint8, shape (height, width, 3).
    """
    import numpy as np

    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    grain = (x * x * 7 + y * y * 13 + x * y * 31) % 64
    blocks = ((x // 24 + y // 16) % 3) * 64
    planes = (x * 191 // width + grain, y * 191 // height + blocks % 64, blocks + grain)
    return np.stack(planes, axis=-1).astype(np.uint8)


def golden_files(vectors: Sequence[GoldenVector], output: TensorSpec, engine: str) -> list[PlannedFile]:
    """The vectors as files: ``golden.json`` names an image (PPM), an input and an output for each.

    Inputs and outputs are raw, in the file's own layout and dtype, least byte first.
    """
    files, index = [], []
    for number, vector in enumerate(vectors):
        height, width, _ = vector.image.shape
        header = f"P6\n{width} {height}\n255\n".encode()
        names = {"image": f"{number}.ppm", "input": f"{number}.input", "output": f"{number}.output"}
        contents = (header + vector.image.tobytes(), _raw(vector.input), _raw(vector.output))
        files += [
            PlannedFile(PurePosixPath(name), content)
            for name, content in zip(names.values(), contents, strict=True)
        ]
        index.append({**names, "best": int(vector.output.argmax())})
    first = vectors[0]
    described = {
        "engine": engine,
        "input": {"dtype": first.input.dtype.name, "shape": list(first.input.shape)},
        "output": {"dtype": first.output.dtype.name, "shape": list(first.output.shape)},
        "tolerance": tolerance(vectors, output),
        "vectors": index,
    }
    return [*files, text_file(INDEX, json.dumps(described, indent=1, sort_keys=True) + "\n")]


def tolerance(vectors: Sequence[GoldenVector], output: TensorSpec) -> float:
    """What a real output may differ by on another engine or processor, in the output's own unit."""
    largest = max(float(abs(real(vector.output, output)).max()) for vector in vectors)
    share = _FLOAT_SHARE if output.dtype.startswith("float") else _INTEGER_SHARE
    return max(share * largest, output.scale or 0.0)


def real(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Stored values -> the reals that they stand for, float64."""
    import numpy as np

    if spec.scale is None:
        return values.astype(np.float64)
    result: np.ndarray = spec.scale * (values.astype(np.float64) - (spec.zero_point or 0))
    return result


def _raw(values: np.ndarray) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
