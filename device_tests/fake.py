"""A device that is a script, for tests of what uses devices.

    device = FakeTransport(
        answers={("uname", "-r"): "6.1.0\\n", ("false",): Completed(1)},
        files={"/data/model.tflite": b"..."},
    )

Anything else it is asked to run ends as an unknown program does, in exit code 127.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mobiledeploy.device_tests.errors import DeviceError, DeviceLost
from mobiledeploy.device_tests.shell_run import checked
from mobiledeploy.device_tests.transport import (
    CONNECT_TIMEOUT,
    COPY_TIMEOUT,
    RUN_TIMEOUT,
    Completed,
)

Answer = str | Completed | DeviceError | Callable[[Sequence[str]], "str | Completed"]
NOT_FOUND = 127


@dataclass
class FakeTransport:
    """Scripted files and answers.

    Attributes:
        answers: what a command line, or any that begins like it, gets: what it prints, how it ends,
            an error to raise, or a function of its arguments.  The longest match counts.
        files: content by absolute path; pushes and pulls work on it.
        modes: permissions of what was pushed.
        calls: the command lines so far.
        name: as ``Transport.name``.
        lost: every call raises ``DeviceLost`` until ``reconnect``.
        closed: whether ``close`` was called.
    """

    answers: Mapping[tuple[str, ...], Answer] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    name: str = "fake"
    lost: bool = False
    closed: bool = False

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:  # noqa: ARG002
        """See ``Transport.run``."""
        self._reach()
        words = tuple(checked(argv))
        self.calls.append(words)
        for length in range(len(words), 0, -1):
            if words[:length] in self.answers:
                return self._give(self.answers[words[:length]], words)
        return Completed(NOT_FOUND, stderr=f"{words[0]}: not found\n")

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = COPY_TIMEOUT) -> None:  # noqa: ARG002
        """See ``Transport.push``."""
        self._reach()
        self.files[remote], self.modes[remote] = local.read_bytes(), mode

    def pull(self, remote: str, local: Path, timeout: float = COPY_TIMEOUT) -> None:  # noqa: ARG002
        """See ``Transport.pull``."""
        self._reach()
        if remote not in self.files:
            raise DeviceError("no such file", where=f"{self.name}: {remote}", hint="Check the path")
        local.write_bytes(self.files[remote])

    def reconnect(self, timeout: float = CONNECT_TIMEOUT) -> None:  # noqa: ARG002
        """It is there again."""
        self.lost = self.closed = False

    def close(self) -> None:
        """See ``Transport.close``."""
        self.closed = True

    def _reach(self) -> None:
        if self.lost:
            raise DeviceLost("the device was lost", where=self.name, hint="Call reconnect")

    def _give(self, answer: Answer, words: tuple[str, ...]) -> Completed:
        if isinstance(answer, DeviceError):
            self.lost = self.lost or isinstance(answer, DeviceLost)
            raise answer
        given = answer(words) if callable(answer) else answer
        return Completed(0, given) if isinstance(given, str) else given
