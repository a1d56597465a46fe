"""Golden vectors: images, what the contract makes of them, and what the file answers.

The images are drawn, not photographed, so that they need no file and no licence: a ramp, blocks and
grain, which show a wrong filter, a shift by a pixel and swapped channels alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Contract, TensorSpec
from mobiledeploy.deploy.packages.plan import PlannedFile, text_file
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.deploy.packages.tasks.task import Decoded
from mobiledeploy.errors import InputError
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
    """One image with what goes in and what comes out.

    Attributes:
        image: uint8, shape (height, width, 3), RGB.
        input: as the file takes it.
        outputs: as the file gives them, in its order.
        decoded: the answers by the reference implementation; None where the outputs say it all.
    """

    image: np.ndarray
    input: np.ndarray
    outputs: tuple[np.ndarray, ...]
    decoded: Decoded | None = None

    @property
    def output(self) -> np.ndarray:
        """The only output, or the first."""
        return self.outputs[0]


def make_golden(session: Session, contract: Contract) -> tuple[GoldenVector, ...]:
    """Prepare the golden images, run the file on them, and decode what it answers.

    Args:
        session: of the file.
        contract: with a preprocessing, and with tensors as the file has them.

    Raises:
        InputError: no preprocessing, or the file answers with NaN or infinity.
    """
    import numpy as np
    from PIL import Image

    rule, task = contract.preprocessing, find_task(contract.task, "golden images")
    if rule is None:
        raise InputError("the file has no preprocessing")

    vectors = []
    for width, height in _SIZES:
        image = draw(width, height)
        given = to_input(Image.fromarray(image), rule, contract.inputs[0])
        outputs = tuple(session.run([given]))
        if not all(np.isfinite(output).all() for output in outputs):
            raise InputError(
                "the model answers a drawn image with numbers that are not finite",
                hint="Look for overflow in the model: mobiledeploy verify compares it with its source",
            )
        reals = [real(output, spec) for output, spec in zip(outputs, contract.outputs, strict=True)]
        vectors.append(GoldenVector(image, given, outputs, task.decode(contract, reals, (width, height))))
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


def golden_files(
    vectors: Sequence[GoldenVector], outputs: Sequence[TensorSpec], engine: str
) -> list[PlannedFile]:
    """The vectors as files: ``golden.json`` names an image (PPM), an input and the outputs of each.

    Inputs and outputs are raw, in the file's own layout and dtype, least byte first.  Where answers are
    decoded, a file of text has the numbers of one answer a line.
    """
    files, index = [], []
    for number, vector in enumerate(vectors):
        height, width, _ = vector.image.shape
        header = f"P6\n{width} {height}\n255\n".encode()
        contents = {"image": ("ppm", header + vector.image.tobytes()), "input": ("input", _raw(vector.input))}
        for key, output in zip(output_names(outputs), vector.outputs, strict=True):
            contents[key] = (key, _raw(output))
        entry: dict[str, Any] = {}
        if vector.decoded is not None:
            lines = "".join(f"{' '.join(map(repr, row))}\n" for row in vector.decoded.rows)
            contents["decoded"] = ("decoded", lines.encode())
            entry["threshold"] = vector.decoded.threshold
        elif len(outputs) == 1:
            entry["best"] = int(vector.output.argmax())
        for key, (suffix, content) in contents.items():
            entry[key] = f"{number}.{suffix}"
            files.append(PlannedFile(PurePosixPath(entry[key]), content))
        index.append(entry)
    first = vectors[0]
    described: dict[str, Any] = {
        "engine": engine,
        "input": {"dtype": first.input.dtype.name, "shape": list(first.input.shape)},
        "vectors": index,
    }
    for place, (key, spec) in enumerate(zip(output_names(outputs), outputs, strict=True)):
        output = first.outputs[place]
        described[key] = {"dtype": output.dtype.name, "shape": list(output.shape)}
        described[key.replace("output", "tolerance")] = tolerance(vectors, spec, place)
    return [*files, text_file(INDEX, json.dumps(described, indent=1, sort_keys=True) + "\n")]


def output_names(outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """What golden outputs are called: ``output`` where there is one, else ``output0``, ``output1``..."""
    return ("output",) if len(outputs) == 1 else tuple(f"output{place}" for place in range(len(outputs)))


def tolerance(vectors: Sequence[GoldenVector], output: TensorSpec, place: int = 0) -> float:
    """What a real output may differ by on another engine or processor, in the output's own unit."""
    largest = max(float(abs(real(vector.outputs[place], output)).max()) for vector in vectors)
    share = _FLOAT_SHARE if output.dtype.startswith("float") else _INTEGER_SHARE
    return max(share * largest, output.scale or 0.0)


def tolerances(vectors: Sequence[GoldenVector], outputs: Sequence[TensorSpec]) -> str:
    """The same of all outputs, for people."""
    found = (f"{tolerance(vectors, spec, place):.3g}" for place, spec in enumerate(outputs))
    return " and ".join(found)


def real(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Stored values -> the reals that they stand for, float64."""
    import numpy as np

    if spec.scale is None:
        return values.astype(np.float64)
    result: np.ndarray = spec.scale * (values.astype(np.float64) - (spec.zero_point or 0))
    return result


def _raw(values: np.ndarray) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
