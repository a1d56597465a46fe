"""This machine as a device with one fault in it."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mobiledeploy.device_tests import conditions, copying, folder, launch, load, probe, session
from mobiledeploy.device_tests.errors import DeviceLost, DeviceTimeout
from mobiledeploy.device_tests.local import LocalTransport
from mobiledeploy.device_tests.transport import Completed

ELSEWHERE = {
    "user": "ada",
    "host": "other.host",
    "pid": 1,
    "since": "then",
    "purpose": "a test",
    "token": "0" * 16,
}


@dataclass(frozen=True)
class Fault:
    """The ``nth`` time that ``step`` is done, from 1, it goes wrong as ``kind`` says.

    Attributes:
        job: ``benchmark`` or ``evaluate``.
        step: as ``step_of`` names commands; ``send`` is the copying of a push.
        nth: 0: each time.
        kind: ``unheard``: lost before it is done; ``unanswered``: done, then lost; ``cut``: done,
            part of what it said arrives, then lost; ``slow``: it takes longer than its time-out;
            ``garbled``: one digit that it said, of a sample
            if there is one, arrives as another.
        then: what is found when the device is back: ``same``, ``restarted`` (its files are gone),
            ``taken`` (another host is on it), ``gone`` (it does not come back).
    """

    job: str
    step: str
    nth: int
    kind: str
    then: str = "same"

    def __str__(self) -> str:
        return f"{self.job}: {self.step} {self.nth or 'always'} {self.kind}, {self.then}"


def step_of(argv: Sequence[str]) -> str:
    """A short name for a command of the harness."""
    if list(argv[:2]) != ["sh", "-c"]:
        return argv[0] if argv[0] != "cat" else f"cat {Path(argv[1]).name}"
    if argv[2] == session._RUN:
        return step_of(argv[6:])
    scripts = {
        folder._CHOOSE: "choose",
        session._ENTER: "enter",
        session._EVICT: "evict",
        session._LEAVE: "leave",
        session._HAS: "has",
        session._DIGESTS: "check",
        copying._SETTLE: "settle",
        copying._MEASURE: "measure",
        launch._AROUND: "launch",
        load._TWICE[2]: "load",
        probe.SYSTEM_FILES[2]: "files",
        probe.FREE[2]: "free",
        conditions._SETTINGS[2]: "settings",
    }
    return scripts.get(argv[2], "script")


@dataclass
class FaultyTransport:
    """Works on this machine until the fault.

    Attributes:
        work: the folder on the device.
        fault: None: none.
        seed: of what is left to chance.
        said: what each launch has really said.
        struck: whether the fault has come.
    """

    work: Path
    fault: Fault | None
    seed: int = 0
    struck: bool = False
    said: list[str] = field(default_factory=list)
    name: str = "local"
    steps: Counter[str] = field(default_factory=Counter)
    _lost: bool = False
    _inner: LocalTransport = field(default_factory=LocalTransport)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Completed:
        self._reach()
        step = step_of(argv)
        kind = self.fault.kind if self.fault and self._strikes(step) else ""
        if kind == "unheard" or (kind == "slow" and step != "launch"):
            done = Completed(0)
        else:
            done = self._inner.run(argv, timeout)
        if step == "launch":
            self.said.append(done.stdout)
        if not kind:
            return done
        if kind == "garbled":
            return replace(done, stdout=self._garbled(done.stdout))
        if kind == "slow":
            raise DeviceTimeout(
                f"{argv[0]} took longer than {timeout:g} s",
                where=self.name,
                hint="More time",
                stdout=done.stdout,
            )
        cut = random.Random(self.seed).randrange(len(done.stdout) + 1) if kind == "cut" else 0  # noqa: S311
        raise self._lose(done.stdout[:cut])

    def push(self, local: Path, remote: str, mode: int = 0o644, timeout: float = 600.0) -> None:
        copying.push_verified(self.name, self.run, self._send, local, remote, mode, timeout)

    def pull(self, remote: str, local: Path, timeout: float = 600.0) -> None:
        copying.pull_verified(self.name, self.run, self._fetch, remote, local, timeout)

    def reconnect(self, timeout: float = 30.0) -> None:
        if self._lost and self.fault and self.fault.then == "gone":
            raise DeviceLost("nothing answered", where=self.name, hint="Check the cable")
        self._lost = False

    def close(self) -> None:
        pass

    def _send(self, local: Path, part: str, timeout: float) -> str:
        self._reach()
        data = local.read_bytes()
        if self._strikes("send"):
            assert self.fault is not None
            if self.fault.kind != "unheard" and Path(part).parent.is_dir():
                Path(part).write_bytes(data[: random.Random(self.seed).randrange(len(data))])  # noqa: S311
            if self.fault.kind == "slow":
                raise DeviceTimeout("the copy took too long", where=self.name, hint="More time")
            raise self._lose("")
        try:
            Path(part).write_bytes(data)
        except OSError as error:
            return str(error)
        return ""

    def _fetch(self, remote: str, part: Path, timeout: float) -> str:
        self._reach()
        data = Path(remote).read_bytes()
        if self._strikes("fetch"):
            assert self.fault is not None
            if self.fault.kind != "unheard":
                part.write_bytes(data[: random.Random(self.seed).randrange(len(data))])  # noqa: S311
            if self.fault.kind == "slow":
                raise DeviceTimeout("the copy took too long", where=self.name, hint="More time")
            raise self._lose("")
        part.write_bytes(data)
        return ""

    def _reach(self) -> None:
        if self._lost:
            raise DeviceLost("the device was lost", where=self.name, hint="Check the cable")

    def _strikes(self, step: str) -> bool:
        with self._lock:
            self.steps[step] += 1
            hit = (
                self.fault is not None and self.fault.step == step and self.fault.nth in (0, self.steps[step])
            )
            self.struck = self.struck or hit
            return hit

    def _garbled(self, text: str) -> str:
        sample = re.search(r'"samples".*"ns": ?\[\d+', text)
        digits = [place for place, char in enumerate(text) if char in "0123456789"]
        place = sample.end() - 1 if sample else random.Random(self.seed).choice(digits)  # noqa: S311
        return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]

    def _lose(self, stdout: str) -> DeviceLost:
        assert self.fault is not None
        self._lost = True
        if self.fault.then == "restarted":
            shutil.rmtree(self.work, ignore_errors=True)
        if self.fault.then == "taken":
            shutil.rmtree(self.work / "session", ignore_errors=True)
            leave_session(self.work)
        return DeviceLost("the device was lost", where=self.name, hint="Check the cable", stdout=stdout)


def leave_session(work: Path, **changes: object) -> Path:
    """A session of somebody else."""
    place = work / "session"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    work.chmod(0o700)
    (place / "owner").write_text(json.dumps(ELSEWHERE | changes))
    (place / "boot").write_text(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    (place / "beat").touch()
    return place
