"""A lab of several hosts on this one: each a process with a state folder and devices of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mobiledeploy.deploy", *arguments]


class Hosts:
    """Started by its methods; has to be ended by ``end``."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {**os.environ, **(environment or {})}
        self.address = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_scheduler(self, *options: str) -> None:
        line = self._start("scheduler", ["lab", "scheduler", *options], self.folder, "listening on ")
        self.address = line.partition("listening on ")[2].split()[0]

    def start_host(self, host: str, devices: str, *options: str) -> None:
        """A worker, with the devices.toml that is given."""
        folder = self.folder / host
        folder.mkdir()
        (folder / "devices.toml").write_text(devices)
        words = ["lab", "worker", "--scheduler", self.address, "--host", host, *options]
        self._start(host, words, folder, f"{host}: offers")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end_host(self, name: str, sign: int = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(sign)
        return process.wait(60)

    def end(self) -> None:
        # Workers first: they would miss their scheduler.
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, words: Sequence[str], folder: Path, ready: str) -> str:
        # Locks and kept programs of a host are its own.
        environment = {
            **self.environment,
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command(*words), cwd=folder, env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            line = next((line for line in self.log(name).splitlines() if ready in line), None)
            if line:
                return line
            if time.monotonic() > deadline or self.processes[name].poll() is not None:
                raise RuntimeError(f"{name} did not start: {self.log(name)}")
            time.sleep(0.1)


def local_device(name: str, folder: Path, kind: str | None = None, python: str | None = None) -> str:
    """Lines of devices.toml: this machine, in a folder of its own."""
    lines = [f"[devices.{name}]", 'reference = "local"', f'folder = "{folder / name}"']
    lines += [f'kind = "{kind}"'] if kind else []
    lines += [f'python = "{python}"'] if python else []
    return "\n".join([*lines, ""])
