"""One process at a time uses a device.

The lock is the operating system's, on a file of the user's state folder, so a process that dies,
however it dies, holds nothing.  What the file says is only who it was, for the one who waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mobiledeploy.device_tests.errors import DeviceBusyError
from mobiledeploy.errors import OutputError

PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uses a device.

    Attributes:
        user: login name.
        host: the computer.
        pid: process there.
        since: UTC, like ``2026-03-01 12:00:00``.
        purpose: what it does with it; may be empty.
    """

    user: str
    host: str
    pid: int
    since: str
    purpose: str = ""

    def __str__(self) -> str:
        doing = f" for {self.purpose}" if self.purpose else ""
        return f"{self.user}@{self.host}, process {self.pid}{doing}, since {self.since} UTC"


def this_process(purpose: str = "") -> Owner:
    """The process that asks, as an owner from now on."""
    import getpass
    import socket

    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Owner(user, socket.gethostname(), os.getpid(), since, purpose)


@contextmanager
def hold_file(path: Path, purpose: str = "") -> Iterator[Owner | None]:
    """Hold a lock file while the block runs, unless another process does.

    Args:
        path: made if it is not there; it stays.
        purpose: for those who are kept off.

    Yields:
        None, or who holds it.

    Raises:
        OutputError: it cannot be made.
    """
    with _open_file(path) as file:
        if not _try_lock(file):
            yield _read_owner(file)
            return
        _sign(file, purpose)
        try:
            yield None
        finally:
            _unlock(file)


@contextmanager
def hold(identities: Sequence[str], device: str, purpose: str = "", wait: float = 0.0) -> Iterator[None]:
    """Keep every other process off a device while the block runs.

    Args:
        identities: names of the device, each of which is its own and nobody else's.
        device: its name, for messages.
        purpose: for those who are kept off.
        wait: seconds to wait until it is free.

    Raises:
        DeviceBusyError: it was not free in time; names the owner.
        OutputError: the state folder cannot be written.
    """
    deadline = time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        # Sorted, so that two processes that want the same two locks never wait for each other.
        for identity in sorted(set(identities)):
            file = stack.enter_context(_open(identity))
            while not _try_lock(file):
                if time.monotonic() >= deadline:
                    raise DeviceBusyError(
                        f"in use by {_read_owner(file)}",
                        where=device,
                        hint="Wait until that is done, or end that process",
                    )
                time.sleep(PAUSE)
            stack.callback(_unlock, file)
            _sign(file, purpose)
        yield


def owner(identity: str) -> Owner | None:
    """Who holds a device now; None if nobody does."""
    with _open(identity) as file:
        if _try_lock(file):
            _unlock(file, signed=False)
            return None
        return _read_owner(file)


def lock_file(identity: str) -> Path:
    """The file whose lock stands for a device: its name is a digest, as serials may hold anything."""
    name = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]
    return state_folder() / "locks" / f"{name}.lock"


def state_folder() -> Path:
    """Where mobiledeploy keeps what outlives a process: ``XDG_STATE_HOME``, else the usual place."""
    configured = os.environ.get("XDG_STATE_HOME")
    return (Path(configured) if configured else Path.home() / ".local" / "state") / "mobiledeploy"


def _open(identity: str) -> IO[str]:
    try:
        return _open_file(lock_file(identity))
    except OutputError as error:
        error.hint = "Make its folder writable, or set XDG_STATE_HOME to one that is"
        raise


def _open_file(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"no lock can be made ({error.strerror})",
            where=str(path),
            hint="Make its folder writable",
        ) from error


def _try_lock(file: IO[str]) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: IO[str], *, signed: bool = True) -> None:
    import fcntl

    # The file stays: to remove it would let a third process lock a new one while a second waits on this.
    if signed:
        file.truncate(0)
    fcntl.flock(file, fcntl.LOCK_UN)


def _sign(file: IO[str], purpose: str) -> None:
    file.seek(0)
    file.truncate()
    json.dump(asdict(this_process(purpose)), file)
    file.flush()


def _read_owner(file: IO[str]) -> Owner:
    file.seek(0)
    try:
        return Owner(**json.load(file))
    except (ValueError, TypeError):
        # Between its lock and its signature.
        return Owner("another process", "this computer", 0, "now")
