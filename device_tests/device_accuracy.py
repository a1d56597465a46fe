"""Accuracy of a model file on a device: inputs go there in chunks, outputs come back."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.chunk_runs import ChunkRuns, Ran
from mobiledeploy.device_tests.dialect import BENCHMARK_MODEL
from mobiledeploy.device_tests.equipment import ENGINE_OF, Equipment, equip
from mobiledeploy.device_tests.evaluation_log import Chunk, EvaluationLog
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.input_chunks import InputChunks
from mobiledeploy.device_tests.launch import LAUNCH_TIMEOUT
from mobiledeploy.device_tests.packed_outputs import split_outputs
from mobiledeploy.device_tests.probe import probe
from mobiledeploy.device_tests.references import connect
from mobiledeploy.device_tests.scoring import Scoring, make_scoring
from mobiledeploy.device_tests.session import Session, open_session
from mobiledeploy.device_tests.tasks.metric import CLASSES, Asked
from mobiledeploy.errors import InputError, VerificationError
from mobiledeploy.images import LabelledImage
from mobiledeploy.parallel import usable_cores
from mobiledeploy.preprocessing import identity
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.session import Session as HostSession

if TYPE_CHECKING:
    import numpy as np

PURPOSE = "evaluate"
MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Options:
    """How a device evaluates.

    Attributes:
        threads: of the engine; None: one per core, up to ``MOST_THREADS``.
        workers: threads of this host that make inputs; None: one per core, less those of its own engine.
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
    images: Sequence[LabelledImage[Any]],
    *,
    options: Options = DEFAULT,
    preprocessing: Preprocessing | str | None = None,
    label_offset: int | None = None,
    asked: Asked = CLASSES,
    host: Callable[[], HostSession] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AccuracyRun:
    """Run a model file on a device over labelled images.

    Inputs are made here, by the file's contract, and computed there.  What was done is kept: after
    an interruption or a loss the same call goes on where the last one ended.

    Args:
        reference: of the device.
        artifact: the file.
        images: from ``mobiledeploy.truth.read_truth`` for the same task.
        options: how.
        preprocessing, label_offset, asked: as in ``accuracy.evaluate_sessions``.
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
    scoring = make_scoring(
        artifact, contents.inputs, contents.outputs, images, preprocessing, label_offset, asked
    )
    with connect(reference, purpose=PURPOSE) as device, open_session(device, PURPOSE) as session:
        facts = probe(session.transport, session.work)
        evaluation = _Evaluation(session, facts, artifact, scoring, options, host)
        return evaluation.run(reference, images, progress)


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
        cores = sum(core.online for core in facts.cores) or 1
        self._threads = options.threads or min(MOST_THREADS, cores)
        if options.runner == BENCHMARK_MODEL:
            raise InputError(
                "benchmark_model gives no outputs", hint="Take the runner native or python for accuracy"
            )
        # The engine of this host wants its cores for itself.
        taken = self._threads if session.transport.name == "local" else 0
        workers = options.workers or max(1, usable_cores() - taken)
        hosts = [host() for _ in range(workers)] if host else []
        self._comparison = HostComparison(hosts[0].engine) if hosts else None
        self._inputs = InputChunks(scoring, workers, hosts, facts.free_bytes, session.send)
        self._runs = ChunkRuns(session, artifact, self._inputs, self._equip, self._threads, options.timeout)

    def run(
        self, reference: str, images: Sequence[LabelledImage[Any]], progress: Callable[[int, int], None]
    ) -> AccuracyRun:
        log = EvaluationLog.of(self._identity(), images)
        chunks = log.read(images)
        log.begin(chunks)
        if chunks:
            self._comparison = chunks[-1].host
        done = sum(len(chunk.predictions) for chunk in chunks)
        progress(done, len(images))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            for ran in self._runs.run(self._inputs.make(images[done:], Path(folder))):
                chunk = self._judge(ran)
                ran.inputs.file.unlink()
                now = time.perf_counter()
                chunks.append(replace(chunk, seconds=now - started))
                started = now
                log.add(chunks[-1])
                done += len(ran.inputs.images)
                progress(done, len(images))
        log.finish()
        digests = "".join(digest for chunk in chunks for digest in chunk.digests)
        return AccuracyRun(
            file=self._artifact.path.name,
            sha256=self._artifact.sha256,
            engine=chunks[-1].engine,
            preprocessing=self._scoring.rule,
            label_offset=self._scoring.judge.label_offset,
            classes=self._scoring.judge.classes,
            seconds=sum(chunk.seconds for chunk in chunks),
            workers=self._threads,
            predictions=tuple(item for chunk in chunks for item in chunk.predictions),
            device=reference,
            facts=self._facts,
            engine_seconds=sum(chunk.engine_ns for chunk in chunks) / 1e9,
            outputs_sha256=hashlib.sha256(digests.encode()).hexdigest(),
            host=self._comparison,
            task=self._scoring.asked.task,
            names=self._scoring.asked.names,
            far=self._scoring.asked.far,
        )

    def _identity(self) -> list[str]:
        """All that the outputs depend on but the images."""
        device = (self._session.transport.name, self._facts.build, self._facts.model, self._facts.soc)
        return [
            self._artifact.sha256,
            *map(str, device),
            self._runs.equipment.runner_sha256,
            str(self._runs.equipment.library_sha256),
            str(self._threads),
            identity(self._scoring.rule),
            str(self._scoring.judge.label_offset),
            self._scoring.asked.task,
            self._comparison.engine if self._comparison else "",
        ]

    def _judge(self, ran: Ran) -> Chunk:
        inputs, report = ran.inputs, ran.report
        items = split_outputs(ran.outputs, report, len(inputs.images), self._session.transport.name)
        predictions, digests = [], []
        for index, (image, outputs) in enumerate(zip(inputs.images, items, strict=True)):
            if inputs.host and self._comparison:
                self._comparison = self._compare(self._comparison, image, outputs, inputs.host[index])
            predictions.append(self._scoring.predict(image, outputs))
            digests.append(hashlib.sha256(b"".join(item.tobytes() for item in outputs)).hexdigest())
        engine = f"{report.engine} {self._runs.equipment.library_version or report.engine_version}"
        return Chunk(tuple(predictions), tuple(digests), engine, ran.engine_ns, self._comparison)

    def _compare(
        self,
        comparison: HostComparison,
        image: LabelledImage[Any],
        device: Sequence[np.ndarray],
        host: Sequence[np.ndarray],
    ) -> HostComparison:
        import numpy as np

        if any(np.isnan(item).any() for item in device) and not any(np.isnan(item).any() for item in host):
            raise VerificationError(
                f"it computes NaN for {image.name}, this host's {comparison.engine} does not",
                where=self._session.transport.name,
                hint="A kernel of its engine is at fault: take another version with --engine-library",
            )
        return comparison.with_image(image.name, device, host, self._scoring.same(image, device, host))

    def _equip(self) -> Equipment:
        return equip(
            self._session,
            self._facts,
            ENGINE_OF[self._artifact.target],
            runner=self._options.runner,
            library=self._options.library,
        )
