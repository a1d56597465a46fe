"""A TCP proxy on loopback that does one thing wrong."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

CHUNK = 16384
TO, FROM = "to", "from"


@dataclass(frozen=True)
class Trick:
    """What goes wrong once so many bytes have passed in one direction.

    Attributes:
        kind: ``cut``: connections are closed; ``half``: from then on that direction is silent;
            ``stall``: both are; ``delay``: every piece waits ``seconds``; ``garble``: a few bytes are
            others.
        direction: ``to`` or ``from`` the device.
        at: bytes.
        seconds: that ``half`` and ``stall`` last, or that new connections are refused after ``cut``.
    """

    kind: str
    direction: str
    at: int
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.direction} {self.seconds:g}"


@dataclass
class Proxy:
    """Leads to a port on loopback; undisturbed until a trick is set.

    Attributes:
        target: port.
        passed: bytes by direction since the last ``set``.
        struck: the trick has come.
    """

    target: int
    passed: dict[str, int] = field(default_factory=lambda: {TO: 0, FROM: 0})
    struck: bool = False
    _trick: Trick | None = None
    _closed_until: float = 0.0
    _silent_until: dict[str, float] = field(default_factory=dict)
    _sockets: set[socket.socket] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, trick: Trick | None) -> None:
        """Count from now; None: whatever was wrong is over."""
        with self._lock:
            self._trick, self.struck, self.passed = trick, False, {TO: 0, FROM: 0}
            self._closed_until, self._silent_until = 0.0, {}

    def cut(self) -> None:
        """Close every connection."""
        with self._lock:
            for item in self._sockets:
                with contextlib.suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No connection any more."""
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            if time.monotonic() < self._closed_until:
                here.close()
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            with self._lock:
                self._sockets |= {here, there}
            for source, sink, way in ((here, there, TO), (there, here, FROM)):
                threading.Thread(target=self._forward, args=(source, sink, way), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        try:
            while data := source.recv(CHUNK):
                sink.sendall(self._disturbed(data, way))
        except OSError:
            pass
        for item in (source, sink):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()

    def _disturbed(self, data: bytes, way: str) -> bytes:
        with self._lock:
            trick, begin = self._trick, self.passed[way]
            self.passed[way] += len(data)
            due = trick is not None and way == trick.direction and begin + len(data) > trick.at
            strikes = due and not self.struck
            self.struck = self.struck or strikes
        if trick is not None and strikes:
            data = self._strike(trick, data, max(0, trick.at - begin))
        if trick is not None and trick.kind == "delay" and self.struck:
            time.sleep(trick.seconds)
        while time.monotonic() < self._silent_until.get(way, 0.0):
            time.sleep(0.02)
        return data

    def _strike(self, trick: Trick, data: bytes, place: int) -> bytes:
        until = time.monotonic() + trick.seconds
        if trick.kind == "cut":
            self._closed_until = until
            self.cut()
            raise OSError("cut")
        if trick.kind == "half":
            self._silent_until = {trick.direction: until}
        if trick.kind == "stall":
            self._silent_until = {TO: until, FROM: until}
        if trick.kind == "garble":
            spoilt = bytes(byte ^ 0x15 for byte in data[place : place + 3])
            return data[:place] + spoilt + data[place + 3 :]
        return data
