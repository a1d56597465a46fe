"""Boots the image that ``provision.sh`` builds, stops it, hangs it and kills it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from mobiledeploy.device_tests.adb_program import adb_in_path

ROOT = Path(__file__).parents[3]
IMAGE = Path(os.environ.get("MOBILEDEPLOY_LAB", ROOT / "build" / "lab"))
PARTS = ("vmlinuz", "rootfs.zst", "python.tar", "id_ed25519", "known_host")
PROGRAMS = ("adb", "qemu-system-aarch64", "ssh", "ssh-keyscan")
BOOT_TIMEOUT = 90.0
ATTEMPTS = 3


def missing() -> str:
    """What the machine needs and this host lacks; empty if nothing."""
    files = [str(IMAGE / part) for part in PARTS if not (IMAGE / part).is_file()]
    return ", ".join([*files, *(program for program in PROGRAMS if not shutil.which(program))])


def adb_programs() -> list[str]:
    """Every adb there is here: that in PATH and those inside packages."""
    programs = [str(found)] if (found := adb_in_path()) else []
    for name in ("adbutils", "adbx"):
        package = find_spec(name)
        if package and package.origin:
            inside = sorted(Path(package.origin).parent.rglob("adb"))
            programs += [str(path) for path in inside if path.is_file() and os.access(path, os.X_OK)]
    return programs or ["adb"]


def free_port() -> int:
    """A loopback port that was free a moment ago, far from those that adb looks for emulators on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Machine:
    """A running stand-in device.

    Attributes:
        folder: for its log.
        cpu: model as QEMU names it.
        counted: one core whose clock counts instructions, so that latencies repeat; else two.
        adb_port, ssh_port: on loopback; they stay the same over ``reboot``.
    """

    folder: Path
    cpu: str = "neoverse-n1"
    counted: bool = False
    adb_port: int = field(default_factory=free_port)
    ssh_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"127.0.0.1:{self.adb_port}"

    @property
    def ssh_config(self) -> Path:
        """An OpenSSH configuration with its key, its host key, and the names ``lab`` and ``127.0.0.1``."""
        known, config = self.folder / "known_hosts", self.folder / "ssh_config"
        known.write_text(f"[127.0.0.1]:{self.ssh_port} {(IMAGE / 'known_host').read_text()}")
        config.write_text(self._config(known))
        return config

    @property
    def careful_ssh_config(self) -> Path:
        """The same without its host key."""
        config = self.folder / "careful_ssh_config"
        config.write_text(self._config(self.folder / "no_known_hosts"))
        return config

    def start(self) -> None:
        """Boot and wait until both servers answer."""
        for attempt in range(ATTEMPTS):
            self._process = self._launch()
            if self._wait_until_up():
                return
            self.kill()
            if attempt < ATTEMPTS - 1:
                # Someone else took a port in between.
                self.adb_port, self.ssh_port = free_port(), free_port()
        raise RuntimeError(f"the lab machine did not boot: {self._log('qemu.log')}{self._log('serial.log')}")

    def reboot(self) -> None:
        """Kill it and boot it again on the same ports; its files are gone."""
        self.kill()
        self._process = self._launch()
        if not self._wait_until_up():
            raise RuntimeError(f"the lab machine did not boot again: {self._log('qemu.log')}")

    def hang(self) -> None:
        """Connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """After ``hang``."""
        self._signal(signal.SIGCONT)

    def restore(self) -> None:
        """Whatever a test has left of it, it runs now."""
        if self._process is not None:
            self.wake()
            if self._wait_until_up(20.0):
                return
        self.reboot()

    def wait_for_console(self, word: str, timeout: float = 30.0) -> None:
        """Until a command on the machine has written a word to ``/dev/ttyAMA0``, or the time is over."""
        deadline = time.monotonic() + timeout
        while word not in self._log("serial.log") and time.monotonic() < deadline:
            time.sleep(0.1)

    def kill(self) -> None:
        """As if the battery were pulled out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _launch(self) -> subprocess.Popen[bytes]:
        shape = ["-smp", "2", "-m", "1536", "-accel", "tcg,thread=multi"]
        if self.counted:
            shape = ["-smp", "1", "-m", "1024", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"]
        forwards = f"hostfwd=tcp:{self.serial}-:5555,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        with (self.folder / "qemu.log").open("wb") as log:
            return subprocess.Popen(
                [
                    *("qemu-system-aarch64", "-M", "virt", "-cpu", self.cpu, *shape),
                    *("-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(IMAGE / "rootfs.zst")),
                    *("-append", "console=ttyAMA0 quiet rdinit=/init panic=-1"),
                    *("-display", "none", "-monitor", "none", "-no-reboot"),
                    *("-serial", f"file:{self.folder / 'serial.log'}"),
                    *("-netdev", f"user,id=net,restrict=on,{forwards}"),
                    *("-device", "virtio-net-pci,netdev=net,romfile="),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_until_up(self, timeout: float = BOOT_TIMEOUT) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            # adbd starts before the ssh server, which is the last to come up.
            scan = ["ssh-keyscan", "-T", "2", "-t", "ed25519", "-p", str(self.ssh_port), "127.0.0.1"]
            done = subprocess.run(scan, capture_output=True, check=False, timeout=30)
            if b"ssh-ed25519" in done.stdout:
                return True
            time.sleep(0.2)
        return False

    def _config(self, known_hosts: Path) -> str:
        return (
            f"Host lab\n  HostName 127.0.0.1\n  Port {self.ssh_port}\n"
            f"Host *\n  User root\n  IdentityFile {IMAGE / 'id_ed25519'}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        )

    def _log(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(errors="replace")[-2000:] if path.is_file() else ""
