"""What the int8 benchmarks share: our files, their real scores on the labelled images, int8 against float."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from accuracy import IMAGES, MODELS
from common import BUILD, DATA, ROOT
from PIL import Image

import mobiledeploy
from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.deploy.calibration import choose_images
from mobiledeploy.deploy.conversion import convert_all, plan_outputs
from mobiledeploy.deploy.samples import image_samples
from mobiledeploy.device_tests.accuracy import AccuracyRun, Prediction, paired
from mobiledeploy.device_tests.accuracy_run import TOP
from mobiledeploy.device_tests.scores import rank
from mobiledeploy.images import LabelledImage, load_image
from mobiledeploy.preprocessing import identity, prepare, to_input
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.runtimes.session import Session
from mobiledeploy.truth.classes import list_images

CALIBRATION = DATA / "images" / "calib_imagen_300"
HOME = BUILD / "int8"
WORKERS = 2
# What makes a file.
ROOMS = ("mobiledeploy", "models", "converters", "quantize", "deploy")
HEAD = f"model   {'file':30s}   float    int8   drop [95% interval]    agree     SQNR  ties"


@dataclass(frozen=True)
class Images:
    """The labelled images as pixels of a model's size: decoded once, given to every file."""

    rule: Preprocessing
    listed: tuple[LabelledImage[int], ...]
    pixels: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, rule: Preprocessing) -> Images:
        """All of them, as the rule resizes and crops."""
        listed = list_images(IMAGES, IMAGES.with_suffix(".csv"))
        with ThreadPoolExecutor(WORKERS) as pool:
            pixels = tuple(pool.map(lambda item: prepare(load_image(item.path), rule), listed))
        return cls(rule, listed, pixels)

    def input(self, index: int, spec: TensorSpec) -> np.ndarray:
        """One image as a file's input takes it; a stretch to its own size changes nothing."""
        return to_input(Image.fromarray(self.pixels[index]), replace(self.rule, resize="stretch"), spec)


@dataclass(frozen=True)
class Scores:
    """Real values of a file's output for every image, shape (images, classes), and what follows from them."""

    path: Path
    sha256: str
    engine: str
    images: Images
    values: np.ndarray

    @cached_property
    def run(self) -> AccuracyRun:
        """As ``mobiledeploy.evaluate`` would have it."""
        return AccuracyRun(
            self.path.name,
            self.sha256,
            self.engine,
            self.images.rule,
            label_offset=0,
            classes=self.values.shape[1],
            seconds=math.nan,
            workers=WORKERS,
            predictions=tuple(map(self._prediction, self.images.listed, self.values)),
        )

    def _prediction(self, image: LabelledImage[int], values: np.ndarray) -> Prediction:
        classes, tied = rank(values, TOP)
        return Prediction(image.name, image.label, classes, tied)


@dataclass(frozen=True)
class Comparison:
    """An int8 file against the float one on the same images.

    Attributes:
        drop, low, high: top-1 lost, and its 95% interval, points; below 0 where int8 is better.
        agreement, tied: share of images, percent.
        sqnr_db: of the real outputs, over all images.
    """

    model: str
    file: str
    engine: str
    images: int
    float_top1: float
    top1: float
    drop: float
    low: float
    high: float
    agreement: float
    sqnr_db: float
    tied: float

    def __str__(self) -> str:
        return (
            f"{self.model:7s} {self.file:30s} {self.float_top1:6.1f}% {self.top1:6.1f}%"
            f" {self.drop:+6.1f} [{self.low:+5.1f}, {self.high:+5.1f}] {self.agreement:7.1f}%"
            f" {self.sqnr_db:5.1f} dB {self.tied:4.1f}%"
        )


@dataclass(frozen=True)
class Failed:
    """A file that there is none of."""

    model: str
    file: str
    failed: str

    def __str__(self) -> str:
        return f"{self.model:7s} {self.file:30s} failed: {self.failed}"


def arguments(description: str, *flags: str) -> argparse.Namespace:
    """Models (all by default), ``--json`` and other flags; ends where there are no images."""
    if not IMAGES.is_dir():
        raise SystemExit(f"{IMAGES} is not there: set MOBILEDEPLOY_DATA to the folder of weights and images")
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), type=_known, metavar="MODEL")
    for flag in ("--json", *flags):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def _known(name: str) -> str:
    if name not in MODELS:
        raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(MODELS)}")
    return name


def load(name: str) -> Any:
    """A model with its trained weights, and the images for it."""
    reference, weights, options = MODELS[name]
    return mobiledeploy.load(reference, weights=DATA / "weights" / weights, **options)


def float_file(model: str, source: Any, target: str = "tflite") -> Path:
    """Our float file; without labels, whose file a peer would lose."""
    plain = replace(source, labels=())
    (made,) = convert_all(plain, (target,), name=model, output=HOME / model, verify=False)  # type: ignore[arg-type]
    return made.artifact.path


def int8_files(model: str, source: Any, name: str, targets: Sequence[str], **options: Any) -> dict[str, Path]:
    """Our int8 files by target; made anew only where the package changed.

    Args:
        model, source: what is converted.
        name: of the folder.
        targets: files.
        options: of ``convert_all``.
    """
    folder = HOME / model / name.replace(" ", "_")
    stamp, state = folder / ".made", _digest(*_code(*ROOMS), repr((targets, options)))
    if stamp.exists() and stamp.read_text() == state:
        return dict(plan_outputs(targets, f"{model}_int8", folder))  # type: ignore[arg-type]
    stamp.unlink(missing_ok=True)
    made = convert_all(
        source,
        targets,  # type: ignore[arg-type]
        name=model,
        precision="int8",
        output=folder,
        verify=False,
        **options,
    )
    stamp.write_text(state)
    return {item.artifact.target: item.artifact.path for item in made}


def calibration(source: Any) -> np.ndarray:
    """The images that ``convert`` calibrates on, as the PyTorch model takes them, in one array."""
    return np.concatenate([array for (array,) in image_samples(source, choose_images(CALIBRATION))])


def scores(path: Path, images: Images, opener: Callable[[], Session] | None = None, how: str = "") -> Scores:
    """One pass over the images; what was found is kept by the file's digest, so that a rerun reads it.

    Args:
        path: the file.
        images: what it is run on.
        opener: in place of ``open_session``; called once per worker.
        how: what the opener does differently, to keep its results apart.
    """
    digest = read_artifact(path).sha256 if opener is None else hashlib.sha256(path.read_bytes()).hexdigest()
    open_one = opener or (lambda: open_session(path, threads=1))
    first = open_one()
    # The options of our sessions change what a file gives.
    key = _digest(digest, identity(images.rule), first.engine, how, *_code("runtimes"))
    kept = HOME / "scores" / f"{key}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, _run([first, *(open_one() for _ in range(WORKERS - 1))], images))
    return Scores(path, digest, first.engine, images, np.load(kept))


def _code(*rooms: str) -> list[str]:
    return [path.read_text() for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _run(opened: Sequence[Session], images: Images) -> np.ndarray:
    free: SimpleQueue[Session] = SimpleQueue()
    for session in opened:
        free.put(session)

    def one(index: int) -> np.ndarray:
        session = free.get()
        try:
            stored = session.run([images.input(index, session.inputs[0])])[0].reshape(-1)
        finally:
            free.put(session)
        return _real(stored, session.outputs[0])

    with ThreadPoolExecutor(len(opened)) as pool:
        return np.stack(list(pool.map(one, range(len(images.listed)))))


def _real(stored: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Codes times their scale; distinct codes stay distinct, and so do ties."""
    if spec.scale is None:
        return stored.astype(np.float32)
    return np.float32(spec.scale) * (stored.astype(np.float32) - np.float32(spec.zero_point or 0))


def compare(model: str, label: str, exact: Scores, rough: Scores) -> Comparison:
    """An int8 file's scores against the float file's."""
    difference = paired(exact.run, rough.run)
    wanted = exact.values.astype(np.float64)
    noise = float(((rough.values - wanted) ** 2).sum())
    return Comparison(
        model,
        label,
        rough.engine,
        rough.run.images,
        float_top1=100 * exact.run.top1.share,
        top1=100 * rough.run.top1.share,
        drop=0.0 - difference.points,
        low=-difference.interval.high,
        high=-difference.interval.low,
        agreement=100 * difference.agreement,
        sqnr_db=10 * math.log10(float((wanted**2).sum()) / noise) if noise else math.inf,
        tied=100 * rough.run.tied / rough.run.images,
    )
