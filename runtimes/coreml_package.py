"""An ``.mlpackage`` or ``.mlmodel`` on disk as plain data."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.runtimes.coreml_network import Network, read_network
from mobiledeploy.runtimes.coreml_wire import Message
from mobiledeploy.runtimes.mil_program import Program, WeightFile, read_program

# The operating systems that first read a specification version.
SYSTEMS = {
    1: "iOS 11",
    2: "iOS 11.2",
    3: "iOS 12",
    4: "iOS 13 / macOS 10.15",
    5: "iOS 14 / macOS 11",
    6: "iOS 15 / macOS 12",
    7: "iOS 16 / macOS 13",
    8: "iOS 17 / macOS 14",
    9: "iOS 18 / macOS 15",
    10: "iOS 26 / macOS 26",
}

ML_PROGRAM = 502
NEURAL_NETWORKS = {500: "neuralNetwork", 403: "neuralNetworkClassifier", 303: "neuralNetworkRegressor"}
_OTHER_KINDS = {
    200: "pipeline",
    201: "pipeline",
    202: "pipeline",
    555: "custom model",
    3000: "encrypted model",
}

_COLOURS = {10: "L", 20: "RGB", 30: "BGR", 40: "L"}
_GRAY_HALF = 40
_ARRAY_DTYPES = {65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8", 65552: "float16"}


@dataclass(frozen=True, slots=True)
class Feature:
    """One input or output as the model's description has it.

    Attributes:
        name: of the feature.
        kind: ``array``, ``image``, ``dictionary`` or ``other``.
        shape: of an array (as declared, may be empty), or (height, width) of an image.
        dtype: of an array's or image's elements.
        channels: ``RGB``, ``BGR`` or ``L`` for an image.
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    channels: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CoreMLModel:
    """What a Core ML file holds.

    Attributes:
        version: specification version.
        inputs, outputs: features of the description.
        probabilities: name of a classifier's dictionary output, empty if it is no classifier.
        metadata: user-defined metadata.
        body: the ML Program, or an older neural network.
    """

    version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    probabilities: str
    metadata: dict[str, str]
    body: Program | Network

    @property
    def system(self) -> str:
        """First systems that run it, for example ``iOS 15 / macOS 12``."""
        return SYSTEMS.get(self.version, f"specification {self.version}")


def load(path: Path) -> CoreMLModel:
    """Read a package folder or a single model file.

    Raises:
        InputError: missing, damaged, or no Core ML file.
        UnsupportedError: a Core ML file of another kind (pipeline, tree ensemble, ...).
    """
    with damage_as_input_error(path):
        spec = _specification(path)
        return _model(Message(_map(spec)), _weight_files(spec.parent), str(path))


@contextmanager
def damage_as_input_error(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is taken apart into an ``InputError`` about it."""
    try:
        yield
    except FileNotFoundError as error:
        missing = Path(error.filename or path)
        inside = f"{missing.name} is missing" if missing != path else "no such file"
        raise InputError(inside, where=str(path), hint="Check the path, or copy the whole package") from error
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror or error})", where=str(path)) from error
    # RecursionError and OverflowError: bytes that happen to read as messages in messages, or as sizes.
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise InputError(
            f"no readable Core ML model ({_reason(error)})",
            where=str(path),
            hint="The file is damaged or something else: convert or download it again",
        ) from error


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _specification(path: Path) -> Path:
    """The file with the model's protocol buffer."""
    if not path.is_dir():
        return path
    manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
    item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    return _inside(path / "Data", item)


def _inside(folder: Path, name: str) -> Path:
    """A file of a folder; names that lead out of it are damage at best."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"it refers to {name}, outside the package")
    return file


def _map(file: Path) -> memoryview:
    with file.open("rb") as opened:
        if file.stat().st_size == 0:
            raise ValueError(f"{file.name} is empty")
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def _weight_files(folder: Path) -> WeightFile:
    @cache
    def weights(name: str) -> memoryview:
        return _map(_inside(folder, name.removeprefix("@model_path/")))

    return weights


def _model(message: Message, weights: WeightFile, where: str) -> CoreMLModel:
    description = message.message(2)
    kinds = [number for number in message.numbers() if number >= 200]
    if 1 not in message or not kinds:
        raise ValueError("it has no version or no model")
    kind = kinds[0]
    if kind != ML_PROGRAM and kind not in NEURAL_NETWORKS:
        raise UnsupportedError(
            f"a Core ML {_OTHER_KINDS.get(kind, f'model of kind {kind}')} is not read",
            where=where,
            hint="ML Programs and neural networks are",
        )
    body = message.message(kind)
    default = description.text(21)
    functions = {item.text(1): item for item in description.messages(20)}
    # A package of several functions describes each on its own, with other field numbers.
    face, (inputs, outputs, probabilities) = (
        (functions[default], (2, 3, 5)) if default else (description, (1, 10, 12))
    )
    return CoreMLModel(
        version=message.number(1),
        inputs=tuple(_feature(item) for item in face.messages(inputs)),
        outputs=tuple(_feature(item) for item in face.messages(outputs)),
        probabilities=face.text(probabilities),
        metadata={item.text(1): item.text(2) for item in description.message(100).messages(100)},
        body=read_program(body, weights, default or "main") if kind == ML_PROGRAM else read_network(body),
    )


def _feature(message: Message) -> Feature:
    name, kind = message.text(1), message.message(3)
    if 4 in kind:
        image = kind.message(4)
        space = image.number(3)
        size = (image.number(2), image.number(1))
        return Feature(
            name, "image", size, "float16" if space == _GRAY_HALF else "uint8", _COLOURS.get(space, "RGB")
        )
    if 5 in kind:
        array = kind.message(5)
        return Feature(name, "array", tuple(array.numbers_in(1)), _ARRAY_DTYPES.get(array.number(2), ""))
    return Feature(name, "dictionary" if 6 in kind else "other")
