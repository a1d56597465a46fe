"""Chunks of inputs through the runner on a device; each is checked there while the next one is computed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from mobiledeploy.device_tests.equipment import Equipment, place_artifact
from mobiledeploy.device_tests.errors import DeviceLost
from mobiledeploy.device_tests.input_chunks import InputChunk, InputChunks
from mobiledeploy.device_tests.launch import launch
from mobiledeploy.device_tests.session import Session
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.runner.report import Report
from mobiledeploy.runtimes.runner.request import Request

RECONNECT_TIMEOUT = 60.0
LOSSES = 3


@dataclass(frozen=True, slots=True)
class Ran:
    """A chunk that was computed.

    Attributes:
        inputs: the chunk.
        report: the runner's.
        outputs: of all images, as the runner wrote them.
        argv: the runner and its arguments, as the device knows them.
        files: of this chunk alone on the device.
    """

    inputs: InputChunk
    report: Report
    outputs: bytes
    argv: Sequence[str]
    files: Sequence[str]

    @property
    def engine_ns(self) -> int:
        """Of inference alone."""
        return (self.report.first_ns or 0) + sum(self.report.samples_ns)


@dataclass
class ChunkRuns:
    """A model file and its runner on a device.

    Attributes:
        session: on the device.
        artifact: the file.
        inputs: which sends chunks ahead.
        equip: puts the runner and the engine on the device.
        threads: of the engine.
        timeout: of a chunk, seconds.
    """

    session: Session
    artifact: Artifact
    inputs: InputChunks
    equip: Callable[[], Equipment]
    threads: int
    timeout: float
    equipment: Equipment = field(init=False)
    _model: str = field(init=False)
    _losses: int = field(default=0, init=False)
    _checking: list[Future[None]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._place()

    def run(self, chunks: Iterable[InputChunk]) -> Iterator[Ran]:
        """Each chunk, computed from files that were found to be what they should be.

        A chunk that was not yet found so when the device was lost is computed again.

        Args:
            chunks: their files may go when their results are here.

        Raises:
            DeviceError: the runner gave up, or a file changed there.
            DeviceLost: more than ``LOSSES`` times, or for longer than ``RECONNECT_TIMEOUT`` seconds.
        """
        before: Ran | None = None
        with ThreadPoolExecutor(1) as aside:
            for inputs in chunks:
                try:
                    ran = self._persist(self._compute, inputs)
                finally:
                    # Whatever became of this one.
                    if before:
                        yield self._settled(before)
                before = ran
                self._checking = [aside.submit(self._check, ran)]
            if before:
                yield self._settled(before)

    def _settled(self, ran: Ran) -> Ran:
        try:
            self._checking[0].result()
        except DeviceLost:
            return self._persist(self._compute_and_check, ran.inputs)
        return ran

    def _persist(self, attempt: Callable[[InputChunk], Ran], inputs: InputChunk) -> Ran:
        while True:
            try:
                return attempt(inputs)
            except DeviceLost:
                self._losses += 1
                if self._losses > LOSSES:
                    raise
                # What it asks of a device that has just come back would not be there.
                wait(self._checking)
                self.session.resume(RECONNECT_TIMEOUT)
                # A device that was restarted has lost what was in its temporary folders.
                self._place()
                self.inputs.sent.clear()

    def _place(self) -> None:
        self.equipment, self._model = self.equip(), place_artifact(self.session, self.artifact)

    def _compute_and_check(self, inputs: InputChunk) -> Ran:
        ran = self._compute(inputs)
        self._check(ran)
        return ran

    def _compute(self, inputs: InputChunk) -> Ran:
        session, equipment = self.session, self.equipment
        packed = self.inputs.sent.pop(inputs.file, None) or session.send(inputs.file)
        outputs = posixpath.join(session.folder, f"{posixpath.basename(packed)}.outputs")
        request = Request(
            equipment.engine,
            self._model,
            library=equipment.library,
            threads=self.threads,
            inputs=packed,
            outputs=outputs,
            timing=None,
        )
        argv = (*equipment.argv, *request.arguments())
        done = launch(session, argv, 0, timeout=self.timeout)
        if done.error:
            raise done.error
        local = inputs.file.with_suffix(".outputs")
        session.transport.pull(outputs, local)
        data = local.read_bytes()
        local.unlink()
        ran = Ran(inputs, done.report, data, argv, (packed, outputs))
        self.inputs.seconds_an_image = ran.engine_ns / 1e9 / len(inputs.images)
        return ran

    def _check(self, ran: Ran) -> None:
        self.session.check(ran.argv)
        self.session.run(["rm", "-f", *ran.files])
