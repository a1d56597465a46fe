"""This machine as a device."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from mobiledeploy.device_tests.copying import pull_verified, push_verified
from mobiledeploy.device_tests.errors import DeviceTimeout, one_line
from mobiledeploy.device_tests.processes import run_process
from mobiledeploy.device_tests.shell_run import VARIABLE, checked
from mobiledeploy.device_tests.transport import (
    CONNECT_TIMEOUT,
    COPY_TIMEOUT,
    RUN_TIMEOUT,
    Completed,
)

NOT_EXECUTABLE, NOT_FOUND, BY_SIGNAL = 126, 127, 128


class LocalTransport:
    """Runs programs directly, without a shell; copies as over a cable, checked all the same."""

    name = "local"

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:
        """See ``Transport.run``."""
        token = secrets.token_hex(8)
        try:
            done = run_process(checked(argv), timeout, environment={VARIABLE: token})
        except FileNotFoundError:
            return Completed(NOT_FOUND, stderr=f"{argv[0]}: not found\n")
        except OSError as error:
            return Completed(NOT_EXECUTABLE, stderr=f"{argv[0]}: {error.strerror}\n")
        stdout, stderr = (raw.decode(errors="backslashreplace") for raw in (done.stdout, done.stderr))
        if done.exit_code is None:
            _end_escaped(f"{VARIABLE}={token}".encode())
            raise DeviceTimeout(
                f"{one_line(argv[0])} took longer than {timeout:g} s and was ended",
                where=self.name,
                hint="Allow it more time",
                stdout=stdout,
                stderr=stderr,
            )
        code = done.exit_code if done.exit_code >= 0 else BY_SIGNAL - done.exit_code
        return Completed(code, stdout, stderr, done.dropped)

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = COPY_TIMEOUT) -> None:
        """See ``Transport.push``."""
        push_verified(self.name, self.run, _copy_there, local, remote, mode, timeout)

    def pull(self, remote: str, local: Path, timeout: float = COPY_TIMEOUT) -> None:
        """See ``Transport.pull``."""
        pull_verified(self.name, self.run, _copy_here, remote, local, timeout)

    def reconnect(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def _end_escaped(mark: bytes) -> None:
    """End what the command started in sessions of their own, where the system shows environments."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        # It ended meanwhile, or is another user's.
        with contextlib.suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)


def _copy_there(local: Path, part: str, _: float) -> str:
    return _copy(local, Path(part))


def _copy_here(remote: str, part: Path, _: float) -> str:
    return _copy(Path(remote), part)


def _copy(source: Path, target: Path) -> str:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        return error.strerror or str(error)
    return ""
