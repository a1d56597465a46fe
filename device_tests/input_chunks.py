"""Inputs of many images in files of a size that a device can hold, made ahead of their use."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import TensorSpec
from mobiledeploy.device_tests.errors import DeviceError
from mobiledeploy.device_tests.scoring import Scoring
from mobiledeploy.device_tests.session import DIGITS
from mobiledeploy.images import LabelledImage
from mobiledeploy.parallel import in_order
from mobiledeploy.runtimes.session import Session

if TYPE_CHECKING:
    import numpy as np

# The first chunk tells early what is wrong; large ones keep the device at work.
FIRST_IMAGES, GROWTH, MOST_IMAGES = 16, 2, 512
MOST_BYTES = 256 * 2**20
CHUNK_SECONDS = 60.0
# Of the device's free space; one chunk is sent and one is checked while one is computed.
SHARE_OF_SPACE = 0.2


@dataclass(frozen=True, slots=True)
class InputChunk:
    """Images whose inputs are ready.

    Attributes:
        images: of the chunk.
        file: their inputs on this host; its name begins with its digest, for ``Session.check``.
        host: outputs of this host for each; empty: nothing is compared.
    """

    images: Sequence[LabelledImage[Any]]
    file: Path
    host: Sequence[Sequence[np.ndarray]]


@dataclass
class InputChunks:
    """Makes chunks, one ahead of the one in use.

    Attributes:
        scoring: from image to input.
        workers: threads that make inputs.
        hosts: open sessions of this host, one per worker; empty: nothing is compared.
        free_bytes: of the device; None: unknown.
        send: puts a file on the device and returns its place.
        sent: places of files that are there and not yet used.
        seconds_an_image: of the device; set as soon as it is known, 0 before.
    """

    scoring: Scoring
    workers: int
    hosts: Sequence[Session]
    free_bytes: int | None
    send: Callable[[Path], str]
    sent: dict[Path, str] = field(default_factory=dict)
    seconds_an_image: float = 0.0

    def make(self, images: Sequence[LabelledImage[Any]], folder: Path) -> Iterator[InputChunk]:
        """Chunks with all the images, in their order.

        Args:
            images: of all chunks.
            folder: for the files; whoever takes a chunk removes its file.

        Raises:
            InputError: an image cannot be read.
        """
        sessions: SimpleQueue[Session] = SimpleQueue()
        for session in self.hosts:
            sessions.put(session)
        waiting: deque[Future[InputChunk]] = deque()
        begin, size = 0, FIRST_IMAGES
        with ThreadPoolExecutor(1) as ahead:
            while begin < len(images):
                part = images[begin : begin + size]
                waiting.append(ahead.submit(self._pack, part, folder / f"{begin}", sessions))
                begin += len(part)
                size = self._next_size(size)
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _next_size(self, size: int) -> int:
        space = MOST_BYTES
        if self.free_bytes is not None:
            space = min(space, int(SHARE_OF_SPACE * self.free_bytes))
        most = min(MOST_IMAGES, GROWTH * size, max(1, space // _bytes(self.scoring.source)))
        if self.seconds_an_image:
            most = min(most, max(1, int(CHUNK_SECONDS / self.seconds_an_image)))
        return most

    def _pack(
        self, images: Sequence[LabelledImage[Any]], part: Path, sessions: SimpleQueue[Session]
    ) -> InputChunk:
        def prepare(image: LabelledImage[Any]) -> tuple[np.ndarray, Sequence[np.ndarray]]:
            batch = self.scoring.prepare(image)
            if not self.hosts:
                return batch, ()
            session = sessions.get()
            try:
                return batch, session.run([batch])
            finally:
                sessions.put(session)

        host, digest = [], hashlib.sha256()
        with part.open("wb") as stream:
            for batch, outputs in in_order(prepare, images, self.workers):
                data = batch.tobytes()
                stream.write(data)
                digest.update(data)
                host.append(outputs)
        file = part.rename(part.with_name(f"{digest.hexdigest()[:DIGITS]}.{part.name}"))
        # What is wrong with the device shows where it is used; here it is only sent ahead.
        with suppress(DeviceError):
            self.sent[file] = self.send(file)
        return InputChunk(images, file, host if self.hosts else ())


def _bytes(spec: TensorSpec) -> int:
    import numpy as np

    return math.prod(side for side in spec.shape if side > 0) * np.dtype(spec.dtype).itemsize
