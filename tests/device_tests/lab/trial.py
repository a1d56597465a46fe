"""A small benchmark and a small evaluation, what they have to come to, and what may be left of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tflite_builder import G, N, T, build

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests import session
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.benchmark import Measured, benchmark
from mobiledeploy.device_tests.device_accuracy import Options, evaluate_on_device
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.latency_run import Launch
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.images import LabelledImage
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing
from mobiledeploy.truth.classes import list_images

# Enough for three chunks.
SIDE, CLASSES, IMAGES = 16, 10, 50
RULE = Preprocessing(SIDE, SIDE, resize="stretch", mean=(127.5,) * 3, std=(127.5,) * 3)
SAMPLES, LAUNCHES = 5, 2
TIMING = Timing(1, 0, SAMPLES, 0)
# Over the time-outs of an operation: what a loaded host takes to start programs.
MARGIN = 30.0


def small_model(folder: Path) -> Artifact:
    """A convolution and a classifier in float, of 30 kB."""
    generator = np.random.default_rng(5)
    weights = {
        "filter": generator.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "bias": generator.normal(size=8).astype(np.float32),
        "w": generator.normal(size=(CLASSES, 7 * 7 * 8)).astype(np.float32),
        "b": np.zeros(CLASSES, np.float32),
    }
    graph = G(
        [
            T("x", (1, SIDE, SIDE, 3)),
            *(T(name, data.shape, data=data) for name, data in weights.items()),
            T("c", (1, 7, 7, 8)),
            T("y", (1, CLASSES)),
        ],
        [
            N("CONV_2D", ("x", "filter", "bias"), ("c",), {"padding": 1, "strideH": 2, "strideW": 2}),
            N("FULLY_CONNECTED", ("c", "w", "b"), ("y",)),
        ],
        ["x"],
        ["y"],
    )
    path = folder / "small.tflite"
    path.write_bytes(build(graph))
    return read_artifact(path)


def pictures(folder: Path, count: int = IMAGES) -> tuple[LabelledImage[int], ...]:
    """Noise in four classes."""
    generator = np.random.default_rng(7)
    for index in range(count):
        place = folder / str(index % 4)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (24, 24, 3), np.uint8)).save(place / f"{index:03}.png")
    return list_images(folder)


@dataclass
class Trial:
    """Two operations on one device and the right results of both.

    Attributes:
        device: its reference.
        artifact: the model.
        images: for the evaluation.
        rule: for a model without a contract.
        timeout: of a launch, seconds.
        timing: of a benchmark's launch.
        truth: outputs_sha256 and predictions; digest of the benchmark's outputs.
        samples: of a launch, where they are known: what the runner has really printed.
    """

    device: str
    artifact: Artifact
    images: Sequence[LabelledImage[int]]
    rule: Preprocessing | None = None
    timeout: float = 20.0
    timing: Timing = TIMING
    truth: dict[str, Any] = field(default_factory=dict)
    samples: Callable[[], set[int]] | None = None

    def do(self, job: str) -> AccuracyRun | Measured:
        """``benchmark`` or ``evaluate``."""
        if job == "benchmark":
            plan = Plan((self.artifact,), launches=LAUNCHES, timing=self.timing, timeout=self.timeout)
            return benchmark([self.device], plan)[0]
        options = Options(threads=1, workers=1, timeout=self.timeout)
        return evaluate_on_device(
            self.device, self.artifact, self.images, options=options, preprocessing=self.rule
        )

    def learn(self) -> None:
        """The right results, from undisturbed runs."""
        evaluated, measured = self.do("evaluate"), self.do("benchmark")
        assert isinstance(evaluated, AccuracyRun)
        assert isinstance(measured, Measured)
        assert measured.error is None, measured.error
        self.truth = {
            "outputs": evaluated.outputs_sha256,
            "predictions": evaluated.predictions,
            "digest": measured.runs[0].launches[0].digest,
        }

    def attempt(self, job: str, limit: float) -> str:
        """The operation under a fault: ``right``, or the one line of a clear error.

        Args:
            job: as ``do``.
            limit: seconds in which it has to come to an end.
        """
        outcome = within(limit + MARGIN, lambda: self.do(job))
        if isinstance(outcome, AccuracyRun):
            self.check_evaluated(outcome)
        elif isinstance(outcome, Measured):
            self.check_measured(outcome)
            outcome = outcome.error or outcome
        return clear(outcome) if isinstance(outcome, BaseException) else "right"

    def check_evaluated(self, run: AccuracyRun) -> None:
        """It is the undisturbed one's result."""
        assert run.outputs_sha256 == self.truth["outputs"]
        assert run.predictions == self.truth["predictions"]

    def check_measured(self, measured: Measured) -> None:
        """Samples are genuine, what is missing is said."""
        for run in measured.runs:
            whole = [launch for launch in run.launches if launch.complete]
            for launch in run.launches:
                check_launch(launch, self.truth["digest"])
                if self.samples:
                    assert set(launch.samples_ns) <= self.samples()
            assert all(len(launch.samples_ns) >= self.timing.min_runs for launch in whole)
            assert run.complete is (len(whole) == len(run.launches) == LAUNCHES)
            assert measured.error or len(whole) == LAUNCHES
        assert measured.error or len(measured.runs) == 1


def check_launch(launch: Launch, digest: str) -> None:
    """It is one that a runner can have made."""
    assert launch.digest in (digest, None)
    assert launch.digest or not launch.complete
    assert len(launch.samples_ns) == len(launch.starts_ns)
    ends = [start + ns for start, ns in zip(launch.starts_ns, launch.samples_ns, strict=True)]
    assert all(end <= start for end, start in zip(ends, launch.starts_ns[1:], strict=False))
    assert all(0 < ns < 30e9 for ns in launch.samples_ns)


def clear(error: BaseException) -> str:
    """The message of an error for a user.

    Raises:
        AssertionError: it is not one of a device, or not one line of what, where and what next.
    """
    if not isinstance(error, DeviceError):
        raise AssertionError(f"not a device's error for a user: {error!r}") from error
    text = str(error)
    assert text.isprintable(), text
    assert len(text) < 1500, text
    assert error.what, text
    assert error.where, text
    assert error.hint, text
    assert "Traceback" not in text, text
    return text


def within(limit: float, call: Callable[[], Any]) -> Any:
    """What a call returns or raises; it fails the test if that takes longer."""
    result: list[Any] = []

    def work() -> None:
        try:
            result.append(call())
        # A test's thread: whatever comes is the result.
        except BaseException as error:  # noqa: BLE001
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(limit)
    assert result, f"no end within {limit:g} s"
    assert time.monotonic() - began <= limit
    return result[0]


def left_processes(mark: str) -> list[str]:
    """Command lines of what still runs of a session whose command line or environment holds a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if session.VARIABLE.encode() in environment and mark.encode() in words + environment:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def left_files(work: Path) -> list[str]:
    """What should not be in a work folder between sessions."""
    return [str(path) for path in work.rglob("*") if path.name == "session" or path.name.endswith(".part")]


def wait_for(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first true value of a condition, or its last."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value
