"""A device over ssh, through the real OpenSSH program.

So the user's own configuration, jump hosts, agent and known hosts hold.  One connection is opened
and the commands share it.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mobiledeploy.device_tests.copying import pull_verified, push_verified
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, DeviceTimeout, one_line
from mobiledeploy.device_tests.processes import Finished, run_process
from mobiledeploy.device_tests.shell_run import armoured, run_in_shell
from mobiledeploy.device_tests.ssh_complaints import explain
from mobiledeploy.device_tests.transport import (
    CONNECT_TIMEOUT,
    COPY_TIMEOUT,
    RUN_TIMEOUT,
    Completed,
)
from mobiledeploy.errors import EnvironmentProblem, InputError

ANSWER_TIMEOUT = 5.0
CLOSE_TIMEOUT = 5.0
# A host that comes back may never answer what was sent to it before.
ATTEMPT_TIMEOUT = 10.0
PAUSE = 0.5
# A connection left behind by a process that was killed ends itself after so many idle seconds.
IDLE = 600
_DESTINATION = re.compile(r"(?:[A-Za-z0-9_][\w.+-]*@)?[A-Za-z0-9_:][\w.:%-]*")
_ALWAYS = (
    "BatchMode=yes",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
    "PermitLocalCommand=no",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True)
class SshTransport:
    """One host.

    Attributes:
        destination: ``[USER@]HOST``, where HOST may be a name of the user's configuration.
        port: None: what the configuration says, else 22.
        config: a configuration file instead of the user's own.
        program: OpenSSH's ``ssh``.

    Raises:
        InputError: the destination cannot be one.
        EnvironmentProblem: there is no ssh here.
    """

    destination: str
    port: int | None = None
    config: Path | None = None
    program: Path = field(default_factory=lambda: _find_ssh())
    # Holds the socket of the shared connection; removed with this object at the latest.
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(
            prefix="mobiledeploy-", ignore_cleanup_errors=True
        )
    )

    def __post_init__(self) -> None:
        if not _DESTINATION.fullmatch(self.destination):
            raise InputError(f"{one_line(self.destination)!r} is no [USER@]HOST", hint="Like ssh:pi@board:22")

    @property
    def name(self) -> str:
        """``ssh:[USER@]HOST[:PORT]``."""
        return f"ssh:{self.destination}" + (f":{self.port}" if self.port else "")

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing to set."""
        return {}

    def shell(self, command: str) -> list[str]:
        """See ``shell_run.Link``."""
        return [*self._ssh(), "-o", "ControlMaster=no", "-T", "--", self.destination, command]

    def explain(self, complaint: str) -> DeviceError:
        """See ``shell_run.Link``."""
        return explain(complaint, self.name, self._by_hand())

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:
        """See ``Transport.run``."""
        return run_in_shell(self, argv, timeout)

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = COPY_TIMEOUT) -> None:
        """See ``Transport.push``."""
        push_verified(self.name, self.run, self._send, local, remote, mode, timeout)

    def pull(self, remote: str, local: Path, timeout: float = COPY_TIMEOUT) -> None:
        """See ``Transport.pull``."""
        pull_verified(self.name, self.run, self._fetch, remote, local, timeout)

    def reconnect(self, timeout: float = CONNECT_TIMEOUT) -> None:
        """Open the shared connection anew, trying again while the host is away.

        Raises:
            DeviceError: the host is there and refuses: its key is unknown or changed, the login fails.
            DeviceLost: it did not answer in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._hang_up()
            try:
                return self._dial(max(1.0, min(ATTEMPT_TIMEOUT, deadline - time.monotonic())))
            except DeviceLost:
                if time.monotonic() + PAUSE >= deadline:
                    raise
            time.sleep(PAUSE)

    def close(self) -> None:
        """See ``Transport.close``."""
        self._hang_up()

    def _dial(self, timeout: float) -> None:
        log = Path(self._folder.name) / "log"
        # The connection goes on in the background and would keep a pipe open for ever: hence a file.
        with log.open("wb") as complaints:
            master = subprocess.Popen(
                [
                    *self._ssh(),
                    *("-o", "ControlMaster=yes", "-o", f"ControlPersist={IDLE}"),
                    *("-o", f"ConnectTimeout={max(1, int(timeout))}", "-fN", "--", self.destination),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
            )
            try:
                code = master.wait(timeout + 1.0)
            except subprocess.TimeoutExpired:
                master.kill()
                master.wait()
                raise DeviceLost(
                    f"no answer within {timeout:g} s", where=self.name, hint="Check the host and the network"
                ) from None
        if code:
            raise self.explain(log.read_text(errors="replace"))

    def _hang_up(self) -> None:
        if self._socket.exists():
            with contextlib.suppress(OSError):
                run_process([*self._ssh(), "-O", "exit", "--", self.destination], CLOSE_TIMEOUT)
            self._socket.unlink(missing_ok=True)

    @property
    def _socket(self) -> Path:
        return Path(self._folder.name) / "s"

    def _ssh(self) -> list[str]:
        options = [argument for option in _ALWAYS for argument in ("-o", option)]
        # ssh expands % in this path; the folder's name is the only part that is not ours.
        path = str(self._socket).replace("%", "%%")
        return [str(self.program), *self._where(), *options, "-o", f"ControlPath={path}"]

    def _where(self) -> list[str]:
        config = ["-F", str(self.config)] if self.config else []
        return config + (["-p", str(self.port)] if self.port else [])

    def _by_hand(self) -> str:
        return " ".join(["ssh", *self._where(), self.destination])

    def _send(self, local: Path, part: str, timeout: float) -> str:
        return self._copied(self._cat(f"exec cat > {shlex.quote(part)}", timeout, feed=local), timeout)

    def _fetch(self, remote: str, part: Path, timeout: float) -> str:
        return self._copied(self._cat(f"exec cat < {shlex.quote(remote)}", timeout, into=part), timeout)

    def _cat(
        self, script: str, timeout: float, *, feed: bytes | Path = b"", into: Path | None = None
    ) -> Finished:
        return run_process(self.shell(armoured(script)), timeout, feed=feed, into=into)

    def _copied(self, done: Finished, timeout: float) -> str:
        if done.exit_code is not None:
            return done.stderr.decode(errors="replace") if done.exit_code else ""
        with contextlib.suppress(DeviceTimeout):
            self.run(["true"], ANSWER_TIMEOUT)
        raise DeviceTimeout(
            f"the copy took longer than {timeout:g} s", where=self.name, hint="Allow it more time"
        )


def _find_ssh() -> Path:
    if found := shutil.which("ssh"):
        return Path(found)
    raise EnvironmentProblem("ssh is not on this machine", hint="Install OpenSSH's client")
