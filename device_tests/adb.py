"""A device on adb, through the real ``adb`` program."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mobiledeploy.device_tests.adb_program import (
    BY_HAND,
    READY,
    Attached,
    advice,
    ask,
    attached,
    find_adb,
)
from mobiledeploy.device_tests.copying import pull_verified, push_verified
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, DeviceTimeout, one_line
from mobiledeploy.device_tests.shell_run import run_in_shell
from mobiledeploy.device_tests.transport import (
    CONNECT_TIMEOUT,
    COPY_TIMEOUT,
    RUN_TIMEOUT,
    Completed,
)

ANSWER_TIMEOUT = 5.0
PAUSE = 0.25
_COMPLAINTS = (("unauthorized", "unauthorized"), ("no permissions", "no permissions"), ("offline", "offline"))


@dataclass(frozen=True)
class AdbTransport:
    """One device; its serial is given to adb with every command.

    Attributes:
        serial: as ``adb devices`` shows it; ``HOST:PORT`` over a network.
        adb: the program.
    """

    serial: str
    adb: Path = field(default_factory=find_adb)

    @property
    def name(self) -> str:
        """``adb:SERIAL``."""
        return f"adb:{self.serial}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing to set."""
        return {}

    def shell(self, command: str) -> list[str]:
        """See ``shell_run.Link``."""
        return [*self._adb(), "shell", "-T", command]

    def explain(self, complaint: str) -> DeviceError:
        """See ``shell_run.Link``."""
        said = one_line(complaint.removeprefix("error: ").removeprefix("adb: "))
        for word, state in _COMPLAINTS:
            if word in said:
                return DeviceLost(f"the device is {state}", where=self.name, hint=advice(state))
        return DeviceLost(
            f"the device was lost ({said or 'adb ended as if all were well'})",
            where=self.name,
            hint="Check the cable or network: mobiledeploy devices list shows what is attached",
        )

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
        """Wait until the device answers; over a network, dial it again.

        Raises:
            DeviceError: it needs a human hand (``unauthorized``, ``no permissions``).
            DeviceLost: it did not answer in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self._look()
            if found and found.state in BY_HAND:
                raise DeviceError(f"the device is {found.state}", where=self.name, hint=found.advice)
            left = deadline - time.monotonic()
            if found and found.state == READY and self._answers(min(ANSWER_TIMEOUT, max(left, 1.0))):
                return
            if time.monotonic() >= deadline:
                raise self._absent(found, timeout)
            self._dial(max(1.0, deadline - time.monotonic()))
            time.sleep(PAUSE)

    def close(self) -> None:
        """Nothing to do: the connection is the adb server's, and others may use it."""

    def _adb(self) -> list[str]:
        return [str(self.adb), "-s", self.serial]

    def _look(self) -> Attached | None:
        return next((item for item in attached(self.adb) if item.serial == self.serial), None)

    def _answers(self, timeout: float) -> bool:
        # A hung device is still listed as one that works.
        try:
            return self.run(["true"], timeout).exit_code == 0
        except (DeviceLost, DeviceTimeout):
            return False

    def _dial(self, timeout: float) -> None:
        if ":" in self.serial:
            ask(self.adb, ["disconnect", self.serial], min(timeout, ANSWER_TIMEOUT))
            ask(self.adb, ["connect", self.serial], min(timeout, 2 * ANSWER_TIMEOUT))

    def _absent(self, found: Attached | None, timeout: float) -> DeviceLost:
        if found is None and ":" in self.serial:
            return DeviceLost(
                f"nothing answered within {timeout:g} s",
                where=self.name,
                hint="Check its address; a phone listens after: adb tcpip 5555, or wireless debugging",
            )
        if found is None:
            return DeviceLost(
                f"not attached within {timeout:g} s",
                where=self.name,
                hint="Check the serial and the cable: mobiledeploy devices list shows what is attached",
            )
        if found.state == READY:
            return DeviceLost(f"no answer within {timeout:g} s", where=self.name, hint=advice("offline"))
        return DeviceLost(f"the device is {found.state}", where=self.name, hint=found.advice)

    def _send(self, local: Path, part: str, timeout: float) -> str:
        return self._copy(["push", str(local), part], timeout)

    def _fetch(self, remote: str, part: Path, timeout: float) -> str:
        return self._copy(["pull", remote, str(part)], timeout)

    def _copy(self, arguments: list[str], timeout: float) -> str:
        done = ask(self.adb, ["-s", self.serial, *arguments], timeout)
        if done.exit_code is not None:
            said = done.stderr.decode(errors="replace") or done.stdout.decode(errors="replace")
            return said if done.exit_code else ""
        if self._answers(ANSWER_TIMEOUT):
            raise DeviceTimeout(
                f"the copy took longer than {timeout:g} s",
                where=self.name,
                hint="Allow it more time",
            )
        raise DeviceLost(
            f"no answer within {timeout:g} s", where=self.name, hint="Check its cable or network"
        )
