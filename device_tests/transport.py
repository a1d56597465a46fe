"""What every way to a device promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

RUN_TIMEOUT = 60.0
COPY_TIMEOUT = 600.0
CONNECT_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that came to its end on the device.

    Attributes:
        exit_code: its own, as the device's shell saw it: 126 not executable, 127 not found, 128+n
            ended by signal n.
        stdout: what it printed; bytes that are not UTF-8 as ``\\xff``.
        stderr: the same for standard error.
        dropped: bytes left out of the middle of both: of each stream the first and the last
            ``processes.KEPT`` bytes are kept.
    """

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    dropped: int = 0


class Transport(Protocol):
    """A way to one device.

    Every call returns or raises within its time-out, in seconds, and the ten more that it may take
    to end what was begun on the device.  All of them raise ``DeviceLost`` if the device vanishes or
    hangs, ``DeviceTimeout`` if only the call takes too long, ``DeviceError`` for anything else that
    the device refuses, ``InputError`` for arguments that no device can take.
    """

    @property
    def name(self) -> str:
        """The device, for messages and locks: ``adb:SERIAL``, ``ssh:HOST``, ``local``."""
        ...

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:
        """Run a program with exactly these arguments, without input, and wait for its end.

        An exit code other than 0 is an answer, not an error.
        """
        ...

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = COPY_TIMEOUT) -> None:
        """Copy a file to the device; its name appears there only when size and sha256 are right.

        Args:
            local: a file.
            remote: absolute path of the file to make, in a folder that is there.
            mode: permissions it gets.
            timeout: seconds.
        """
        ...

    def pull(self, remote: str, local: Path, timeout: float = COPY_TIMEOUT) -> None:
        """Copy a file from the device; its name appears here only when size and sha256 are right.

        Raises:
            OutputError: the file cannot be written here.
        """
        ...

    def reconnect(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Reach the device, for the first time or again after ``DeviceLost``."""
        ...

    def close(self) -> None:
        """Give up the connection; may be called twice, never raises ``DeviceError``."""
        ...
