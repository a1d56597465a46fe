"""A program on this host: its time bounded, its output bounded, its children ended with it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Of each output stream the first and the last 8 MiB are kept: a day of JSON lines, not 100 MB of log.
KEPT = 8 * 2**20
CHUNK = 2**16
GRACE = 0.5
POLL = 0.1


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a program.

    Attributes:
        exit_code: negative: ended by that signal; None: by us, when its time was over.
        stdout: the first and the last ``KEPT`` bytes.
        stderr: the same.
        dropped: bytes left out between them.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    dropped: int


def run_process(
    argv: Sequence[str],
    timeout: float,
    *,
    feed: bytes | Path = b"",
    into: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program to its end, or end it with all it has started when its time is over.

    Args:
        argv: program and arguments; no shell sees them.
        timeout: seconds.
        feed: standard input: bytes, or the content of a file.
        into: a file that takes standard output, whole, instead of ``stdout``.
        environment: variables to set over those of this process.

    Raises:
        OSError: the program cannot be started, or a file not opened.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(feed.open("rb")) if isinstance(feed, Path) else subprocess.PIPE
        sink = stack.enter_context(into.open("wb")) if into else subprocess.PIPE
        process = subprocess.Popen(
            argv,
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment} if environment else None,
            start_new_session=True,
        )
        with process:
            try:
                conversation = _Conversation(process, b"" if isinstance(feed, Path) else feed)
                in_time = conversation.hold(time.monotonic() + timeout)
                if not in_time:
                    end_group(process)
            except BaseException:
                end_group(process)
                raise
    return Finished(
        process.returncode if in_time else None,
        conversation.stdout.kept(),
        conversation.stderr.kept(),
        conversation.stdout.dropped + conversation.stderr.dropped,
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that leads its own session, and its children: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


class _Ends:
    """The first and the last bytes of a stream."""

    def __init__(self) -> None:
        self._head, self._tail, self._total = bytearray(), bytearray(), 0

    def add(self, chunk: bytes) -> None:
        self._total += len(chunk)
        room = KEPT - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:] if room < len(chunk) else b""
        if len(self._tail) > 2 * KEPT:
            del self._tail[:-KEPT]

    def kept(self) -> bytes:
        return bytes(self._head + self._tail[-KEPT:])

    @property
    def dropped(self) -> int:
        return self._total - len(self._head) - min(len(self._tail), KEPT)


class _Conversation:
    """Feeds a program and reads its two outputs at the same time."""

    def __init__(self, process: subprocess.Popen[bytes], feed: bytes) -> None:
        self.stdout, self.stderr = _Ends(), _Ends()
        self._process, self._feed = process, memoryview(feed)
        self._selector = selectors.DefaultSelector()
        self._outputs = 0
        for stream, ends in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, ends)
                self._outputs += 1
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE)

    def hold(self, deadline: float) -> bool:
        """Until the program has ended and its outputs are read; False if the deadline came first."""
        with self._selector:
            ended = None
            while self._outputs or self._process.poll() is None:
                now = time.monotonic()
                if now >= deadline:
                    return False
                if ended is None and self._process.poll() is not None:
                    ended = now
                # A daemon that the program left behind may keep the outputs open for ever.
                if ended is not None and now > ended + GRACE:
                    return True
                for key, _ in self._selector.select(min(POLL, deadline - now)):
                    self._serve(key)
                if not self._outputs:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(max(0.0, min(POLL, deadline - time.monotonic())))
        return True

    def _serve(self, key: selectors.SelectorKey) -> None:
        stream = key.fileobj
        if isinstance(key.data, _Ends):
            chunk = os.read(key.fd, CHUNK)
            key.data.add(chunk)
            if not chunk:
                self._selector.unregister(stream)
                self._outputs -= 1
            return
        try:
            self._feed = self._feed[os.write(key.fd, self._feed[:CHUNK]) :] if self._feed else self._feed
        except BrokenPipeError:
            # It ended without reading all of it, and will say so.
            self._feed = memoryview(b"")
        if not self._feed:
            self._selector.unregister(stream)
            _close(self._process.stdin)


def _close(stream: IO[bytes] | None) -> None:
    with contextlib.suppress(BrokenPipeError):
        if stream is not None:
            stream.close()
