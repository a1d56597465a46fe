"""What an interrupted evaluation had done, so that the next one goes on from there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.device_tests.history.decode import decode
from mobiledeploy.device_tests.host_comparison import HostComparison
from mobiledeploy.device_tests.lock import state_folder
from mobiledeploy.device_tests.tasks import AnyPrediction
from mobiledeploy.errors import OutputError
from mobiledeploy.images import LabelledImage


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images that were done together.

    Attributes:
        predictions: one per image.
        digests: sha256 of the outputs of each.
        engine: its name and version.
        engine_ns: inference alone.
        host: the comparison up to and with this chunk; None: none is made.
        seconds: wall time since the chunk before.
    """

    predictions: tuple[AnyPrediction, ...]
    digests: tuple[str, ...]
    engine: str
    engine_ns: int
    host: HostComparison | None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EvaluationLog:
    """One file, one chunk a line (the digest of its JSON, and that), for one evaluation of one device.

    Attributes:
        path: the file; it is there only while an evaluation is unfinished.
    """

    path: Path

    @classmethod
    def of(cls, parts: Sequence[str], images: Sequence[LabelledImage[Any]]) -> EvaluationLog:
        """That of an evaluation.

        Args:
            parts: all that its results depend on but the images.
            images: told apart by name, label, size and time of change.
        """
        digest = hashlib.sha256("\0".join(parts).encode(errors="surrogateescape"))
        for image in images:
            status = image.path.stat()
            row = f"\0{image.name}\0{image.label}\0{status.st_size}\0{status.st_mtime_ns}"
            digest.update(row.encode(errors="surrogateescape"))
        return cls(state_folder() / "evaluations" / f"{digest.hexdigest()[:32]}.jsonl")

    def read(self, images: Sequence[LabelledImage[Any]]) -> list[Chunk]:
        """The chunks that are done; a line that was cut, and what follows it, does not count."""
        chunks: list[Chunk] = []
        with contextlib.suppress(OSError):
            done = 0
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                chunk = _parse(line)
                names = [item.image for item in chunk.predictions] if chunk else []
                if chunk is None or names != [image.name for image in images[done : done + len(names)]]:
                    break
                chunks.append(chunk)
                done += len(names)
        return chunks

    def begin(self, chunks: Sequence[Chunk]) -> None:
        """Start with the chunks that count.

        Raises:
            OutputError: the file cannot be written.
        """
        self._write("w", "".join(_line(chunk) for chunk in chunks))

    def add(self, chunk: Chunk) -> None:
        """One more.

        Raises:
            OutputError: the file cannot be written.
        """
        self._write("a", _line(chunk))

    def finish(self) -> None:
        """All is done: nothing is left to resume."""
        self.path.unlink(missing_ok=True)

    def _write(self, mode: str, text: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(
                f"progress cannot be kept ({error.strerror})",
                where=str(self.path),
                hint="Free some space, or set XDG_STATE_HOME to a folder that is writable",
            ) from error


def _line(chunk: Chunk) -> str:
    text = json.dumps(asdict(chunk), separators=(",", ":"))
    return f"{_digest(text)} {text}\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _parse(line: str) -> Chunk | None:
    digest, _, text = line.partition(" ")
    if digest != _digest(text):
        return None
    try:
        return decode(Chunk, json.loads(text))
    except ValueError:
        return None
