"""An Android device whose user never allows USB debugging: it asks for a signature for ever."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEADER = struct.Struct("<6I")
TOKEN, PUBLIC_KEY = 1, 3


def _word(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


def _receive(peer: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = peer.recv(count - len(got))
        if not chunk:
            raise EOFError
        got += chunk
    return got


def _ask_for_ever(peer: socket.socket) -> None:
    with peer:
        try:
            while True:
                command, kind, _, length, _, _ = HEADER.unpack(_receive(peer, HEADER.size))
                _receive(peer, length)
                if command == _word("AUTH") and kind == PUBLIC_KEY:
                    # A phone now shows its question to the user, who is not there.
                    continue
                challenge = os.urandom(20)
                head = HEADER.pack(
                    _word("AUTH"), TOKEN, 0, len(challenge), sum(challenge), _word("AUTH") ^ 0xFFFFFFFF
                )
                peer.sendall(head + challenge)
        except (EOFError, OSError):
            return


@contextmanager
def refusing_adbd() -> Iterator[str]:
    """A serial, on loopback, that adb will call ``unauthorized``."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_ask_for_ever, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
