"""Accuracy of a model file on a device: inputs go there in chunks, outputs come back."""

from __future__ import annotations

import hashlib
import math
import posixpath
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.equipment import ENGINE_OF, Equipment, equip, place_artifact
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.evaluation_log import Chunk, EvaluationLog
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.launch import LAUNCH_TIMEOUT, Launched, launch
from mobiledeploy.device_tests.parallel import in_order, usable_cores
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.references import connect
from mobiledeploy.device_tests.scoring import Scoring, make_scoring
from mobiledeploy.device_tests.session import Session, open_session
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.images import LabelledImage
from mobiledeploy.preprocessing import identity
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.report import Report
from mobiledeploy.runtimes.runner.request import Request
from mobiledeploy.runtimes.session import Session as HostSession

if TYPE_CHECKING:
    import numpy as np

PURPOSE = "evaluate"
RECONNECT_TIMEOUT = 60.0
LOSSES = 3
# The first chunk tells early what is wrong; large ones keep the device at work.
FIRST_IMAGES, MOST_IMAGES = 8, 512
CHUNK_SECONDS = 60.0
MOST_BYTES = 256 * 2**20
# Of the device's free space, for inputs; the next chunk is sent while one is computed.
SHARE_OF_SPACE = 0.25
MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Options:
    """How a device evaluates.

    Attributes:
        threads: of the engine; None: one per core, up to ``MOST_THREADS``.
        workers: threads of this host that make inputs; None: one per core.
        runner: one of ``equipment.RUNNERS``.
        library: of the engine, for the device; None: from the engine's official wheel.
        timeout: of a chunk, seconds.
    """

    threads: int | None = None
    workers: int | None = None
    runner: str = "auto"
    library: Path | None = None
    timeout: float = LAUNCH_TIMEOUT


DEFAULT = Options()


def evaluate_on_device(
    reference: str,
    artifact: Artifact,
    images: Sequence[LabelledImage],
    *,
    options: Options = DEFAULT,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    host: Callable[[], HostSession] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AccuracyRun:
    """Run a model file on a device over labelled images.

    Inputs are made here, by the file's contract, and computed there.  What was done is kept: after
    an interruption or a loss the same call goes on where the last one ended.

    Args:
        reference: of the device.
        artifact: the file.
        images: from ``mobiledeploy.images.list_images``.
        options: how.
        preprocessing, label_offset: as in ``accuracy.evaluate_sessions``.
        host: opens a session of the file on this host, to compare outputs with; None: nothing is
            compared.
        progress: called as ``progress(done, total)``.

    Raises:
        InputError: the file, an image, the labels or the preprocessing do not fit; says which.
        DeviceError: the device cannot do it, or was lost too often.
    """
    if not images:
        raise InputError("there are no images to evaluate", where=artifact.path.name)
    contents = artifact.contents
    scoring = make_scoring(artifact, contents.inputs, contents.outputs, images, preprocessing, label_offset)
    with connect(reference, purpose=PURPOSE) as device, open_session(device, PURPOSE) as session:
        facts = probe(session.transport, session.work)
        evaluation = _Evaluation(session, facts, artifact, scoring, options, host)
        return evaluation.run(reference, images, progress)


@dataclass(frozen=True, slots=True)
class _Packed:
    """Images whose inputs are ready.

    Attributes:
        images: of the chunk.
        file: their inputs on this host.
        remote: the same on the device; None: not there.
        host: outputs of this host for each; empty: nothing is compared.
    """

    images: Sequence[LabelledImage]
    file: Path
    remote: str | None
    host: Sequence[Sequence[np.ndarray]]


class _Evaluation:
    def __init__(
        self,
        session: Session,
        facts: DeviceFacts,
        artifact: Artifact,
        scoring: Scoring,
        options: Options,
        host: Callable[[], HostSession] | None,
    ) -> None:
        self._session, self._facts, self._artifact = session, facts, artifact
        self._scoring, self._options = scoring, options
        self._workers = options.workers or usable_cores()
        self._hosts: SimpleQueue[HostSession] = SimpleQueue()
        self._comparison: HostComparison | None = None
        if host:
            sessions = [host() for _ in range(self._workers)]
            self._comparison = HostComparison(sessions[0].engine)
            for item in sessions:
                self._hosts.put(item)
        cores = sum(core.online for core in facts.cores) or 1
        self._threads = options.threads or min(MOST_THREADS, cores)
        self._equipment = self._equip()
        self._engine = ""
        self._losses = 0
        self._seconds_an_image = 0.0

    def run(
        self, reference: str, images: Sequence[LabelledImage], progress: Callable[[int, int], None]
    ) -> AccuracyRun:
        log = EvaluationLog.of(self._identity(), images)
        chunks = log.read(images)
        log.begin(chunks)
        if chunks:
            self._comparison = chunks[-1].host
        done = sum(len(chunk.predictions) for chunk in chunks)
        progress(done, len(images))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as ahead:
            for packed in self._pack_ahead(images[done:], Path(folder), ahead):
                chunks.append(self._compute(packed))
                log.add(chunks[-1])
                packed.file.unlink()
                done += len(packed.images)
                progress(done, len(images))
        seconds = time.perf_counter() - started
        log.finish()
        digests = "".join(digest for chunk in chunks for digest in chunk.digests)
        return AccuracyRun(
            file=self._artifact.path.name,
            sha256=self._artifact.sha256,
            engine=self._engine,
            preprocessing=self._scoring.rule,
            label_offset=self._scoring.label_offset,
            classes=self._scoring.output.classes,
            seconds=seconds,
            workers=self._threads,
            predictions=tuple(item for chunk in chunks for item in chunk.predictions),
            device=reference,
            facts=self._facts,
            engine_seconds=sum(chunk.engine_ns for chunk in chunks) / 1e9,
            outputs_sha256=hashlib.sha256(digests.encode()).hexdigest(),
            host=self._comparison,
        )

    def _identity(self) -> list[str]:
        """All that the outputs depend on but the images."""
        device = (self._session.transport.name, self._facts.build, self._facts.model, self._facts.soc)
        return [
            self._artifact.sha256,
            *map(str, device),
            self._equipment.runner_sha256,
            str(self._equipment.library_sha256),
            str(self._threads),
            identity(self._scoring.rule),
            str(self._scoring.label_offset),
            self._comparison.engine if self._comparison else "",
        ]

    def _pack_ahead(
        self, images: Sequence[LabelledImage], folder: Path, ahead: ThreadPoolExecutor
    ) -> Iterator[_Packed]:
        """Chunks of inputs; while one is computed the next is made and sent."""
        waiting: deque[Future[_Packed]] = deque()
        begin, size = 0, FIRST_IMAGES
        while begin < len(images):
            part = images[begin : begin + size]
            waiting.append(ahead.submit(self._pack, part, folder / f"{begin}.inputs"))
            begin += len(part)
            size = self._next_size(size)
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _next_size(self, size: int) -> int:
        bytes_an_image = self._bytes_an_image()
        space = MOST_BYTES
        if self._facts.free_bytes is not None:
            space = min(space, int(SHARE_OF_SPACE * self._facts.free_bytes))
        most = min(MOST_IMAGES, 2 * size, max(1, space // bytes_an_image))
        if self._seconds_an_image:
            most = min(most, max(1, int(CHUNK_SECONDS / self._seconds_an_image)))
        return most

    def _bytes_an_image(self) -> int:
        import numpy as np

        source = self._scoring.source
        sides = [side for side in source.shape if side > 0]
        return math.prod(sides) * np.dtype(source.dtype).itemsize

    def _pack(self, images: Sequence[LabelledImage], file: Path) -> _Packed:
        host = []
        with file.open("wb") as stream:
            for batch, outputs in in_order(self._prepare, images, self._workers):
                stream.write(batch.tobytes())
                host.append(outputs)
        remote = None
        # What is wrong with the device shows where it is used; here it is only sent ahead.
        with suppress(DeviceError):
            remote = self._session.place(file)
        return _Packed(images, file, remote, host if self._comparison else ())

    def _prepare(self, image: LabelledImage) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        batch = self._scoring.prepare(image)
        if self._comparison is None:
            return batch, ()
        session = self._hosts.get()
        try:
            return batch, session.run([batch])
        finally:
            self._hosts.put(session)

    def _compute(self, packed: _Packed) -> Chunk:
        """A chunk on the device; again, from its beginning, if the device is lost meanwhile."""
        while True:
            try:
                return self._attempt(packed)
            except DeviceLost:
                self._losses += 1
                if self._losses > LOSSES:
                    raise
                self._session.resume(RECONNECT_TIMEOUT)
                self._equipment = self._equip()
                packed = replace(packed, remote=None)

    def _attempt(self, packed: _Packed) -> Chunk:
        session, equipment = self._session, self._equipment
        inputs = packed.remote or session.place(packed.file)
        outputs = posixpath.join(session.folder, "outputs")
        request = Request(
            equipment.engine,
            place_artifact(session, self._artifact),
            library=equipment.library,
            threads=self._threads,
            inputs=inputs,
            outputs=outputs,
            timing=None,
        )
        done = launch(session, (*equipment.argv, *request.arguments()), 0, timeout=self._options.timeout)
        if done.error:
            raise done.error
        local = packed.file.with_suffix(".outputs")
        session.transport.pull(outputs, local)
        session.run(["rm", "-f", inputs, outputs])
        return self._judge(packed, done, local)

    def _judge(self, packed: _Packed, done: Launched, file: Path) -> Chunk:
        report = done.report
        self._engine = f"{report.engine} {self._equipment.library_version or report.engine_version}"
        items = _split(file.read_bytes(), report, len(packed.images), self._session.transport.name)
        file.unlink()
        predictions, digests = [], []
        for index, (image, outputs) in enumerate(zip(packed.images, items, strict=True)):
            if packed.host and self._comparison:
                self._comparison = self._compare(image, outputs, packed.host[index])
            predictions.append(self._scoring.judge(image, outputs))
            digests.append(hashlib.sha256(b"".join(item.tobytes() for item in outputs)).hexdigest())
        engine_ns = sum(report.samples_ns)
        self._seconds_an_image = engine_ns / 1e9 / len(packed.images)
        return Chunk(tuple(predictions), tuple(digests), engine_ns, self._comparison)

    def _compare(
        self, image: LabelledImage, device: Sequence[np.ndarray], host: Sequence[np.ndarray]
    ) -> HostComparison:
        import numpy as np

        comparison = self._comparison or HostComparison("")
        if any(np.isnan(item).any() for item in device) and not any(np.isnan(item).any() for item in host):
            raise VerificationError(
                f"it computes NaN for {image.name}, this host's {comparison.engine} does not",
                where=self._session.transport.name,
                hint="A kernel of its engine is at fault: take another version with --engine-library",
            )
        first = [self._scoring.judge(image, side).classes[0] for side in (device, host)]
        return comparison.with_image(image.name, device, host, first[0] == first[1])

    def _equip(self) -> Equipment:
        return equip(
            self._session,
            self._facts,
            ENGINE_OF[self._artifact.target],
            runner=self._options.runner,
            library=self._options.library,
        )


def _split(data: bytes, report: Report, count: int, device: str) -> list[list[np.ndarray]]:
    """Packed outputs, image by image, in the order of the file's outputs."""
    import numpy as np

    size = sum(tensor.bytes for tensor in report.outputs)
    if (report.items, len(data)) != (count, count * size) or hashlib.sha256(
        data
    ).hexdigest() != report.digest:
        raise DeviceError(
            f"{report.items} outputs of {count} arrived, {len(data)} bytes instead of {count * size}, "
            "or others than the runner computed",
            where=device,
            hint="Try again; if it repeats, check the device's storage",
        )
    items = []
    for begin in range(0, count * size, size):
        tensors, place = [], begin
        for tensor in report.outputs:
            part = data[place : place + tensor.bytes]
            tensors.append(np.frombuffer(part, tensor.dtype).reshape(tensor.shape))
            place += tensor.bytes
        items.append(tensors)
    return items
