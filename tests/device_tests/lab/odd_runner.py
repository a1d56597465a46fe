"""A runner that does its work and then spoils what it says: ``odd_runner.py MODE NUMBER REAL SAID WORDS...``.

It is copied to the device behind a line that names MODE, NUMBER (of the launch, from 1), REAL (the
true runner) and SAID (a folder that gets what the true one said, a file for each launch).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CODES = b"\x1b[2J\x1b]0;owned\x07\r"
CHANGES = {
    "negative": (b'"ns": *\\[?\\d+', b'"ns":[-5'),
    "not a number": (b'"ns": *\\[\\d+', b'"ns":[NaN'),
    "text": (b'"ns": *\\[\\d+', b'"ns":["7"'),
    "huge": (b'"ns": *\\[\\d+', b'"ns":[' + b"9" * 40),
    "true": (b'"ns": *\\[\\d+', b'"ns":[true'),
    "one sample fewer": (b'"ns": *\\[\\d+, *', b'"ns":['),
    "short digest": (b'"sha256": *"\\w{9}', b'"sha256":"'),
    "capital digest": (b'"sha256": *"\\w{4}', b'"sha256":"ABCD'),
    "no items": (b'"items": *\\d+', b'"items":null'),
    "fewer items": (b'"items": *\\d+', b'"items":0'),
    "another protocol": (b'"protocol": *1', b'"protocol":2'),
    "negative shape": (b'"shape": *\\[1', b'"shape":[-1'),
    "wrong bytes": (b'"bytes": *\\d+', b'"bytes":7'),
    "no dtype": (b'"dtype": *"\\w+"', b'"dtype":null'),
    "codes in the error": (
        rb'{"event": *"end".*',
        b'{"event":"error","code":"\\u001b[31m","message":"\\u001b[2Jred\\nline"}\n'
        b'{"event":"end","exit_code":69}\n',
    ),
    "unknown failure": (
        rb'{"event": *"end".*',
        b'{"event":"error","code":"moon","message":""}\n{"event":"end","exit_code":1}\n',
    ),
}
OUTPUTS = ("truncated", "extended", "flipped", "empty", "absent", "folder")


def spoil(mode: str, said: bytes, chance: random.Random, outputs: str) -> tuple[bytes, int]:
    """What it says instead, and its exit code."""
    kind, _, what = mode.partition(": ")
    lines = said.splitlines(keepends=True)
    if kind == "change":
        return re.sub(*CHANGES[what], said, count=1, flags=re.DOTALL), 0
    if kind == "insert":
        junk = {
            "bytes": chance.randbytes(300) + b"\n",
            "codes": CODES + b"\n",
            "nul": b"\0" * 100 + b"\n",
            "long": b"x" * 1_000_000 + b"\n",
            "brackets": b"[" * 20_000 + b"\n",
            "json": b'{"a": 1}\n[1]\nnull\n',
            "unknown": b'{"event":"weather","ns":-1}\n',
            "half": b'{"event":"samples","start":1,"ga\n',
            "glued": b"I am the engine: ",
            "flood": b"the engine says nothing new\n" * 900_000,
        }[what]
        place = chance.randrange(len(lines) + 1)
        return b"".join([*lines[:place], junk, *lines[place:]]), 0
    if kind == "drop":
        return b"".join(line for line in lines if f'"{what}"' not in line[:25].decode()), 0
    if kind == "cut":
        return said[: chance.randrange(len(said) - 1)], int(what)
    if kind == "order":
        return {"end first": lines[-1] + said, "end twice": said + lines[-1], "twice": said + said}[what], 0
    if kind == "outputs" and outputs:
        spoil_outputs(Path(outputs), what, chance)
    if kind == "code":
        return said, int(what)
    return said, 0


def spoil_outputs(file: Path, how: str, chance: random.Random) -> None:
    """The file of outputs is not what was said."""
    data = bytearray(file.read_bytes())
    if how == "flipped":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes({"truncated": data[:-1], "extended": data + b"\0", "empty": b""}.get(how, data))
    if how in {"absent", "folder"}:
        file.unlink()
    if how == "folder":
        file.mkdir()


def main(mode: str, number: str, seed: str, real: str, said_in: str, *words: str) -> int:
    done = subprocess.run([real, *words], stdout=subprocess.PIPE, check=False)
    launch = sum(1 for _ in Path(said_in).iterdir()) + 1
    Path(said_in, str(launch)).write_bytes(done.stdout)
    out = sys.stdout.buffer
    if launch != int(number):
        out.write(done.stdout)
        return done.returncode
    outputs = words[words.index("--outputs") + 1] if "--outputs" in words else ""
    chance = random.Random(int(seed))  # noqa: S311
    kind, _, what = mode.partition(": ")
    if kind in {"signal", "hang", "group"}:
        out.write(done.stdout[: chance.randrange(len(done.stdout) - 1)])
        out.flush()
        if kind == "signal":
            os.kill(os.getpid(), getattr(signal, what))
        if kind == "group":
            os.kill(os.getppid(), getattr(signal, what))
        if what == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if what == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)
    if kind == "daemon":
        subprocess.Popen(["sleep", "60"], start_new_session=True)
    if mode == "errors: flood":
        for _ in range(20):
            sys.stderr.buffer.write(b"\x1b[31mwarning: the sky is blue\n" * 40_000)
    if kind == "session":
        folder = Path(outputs or next(word for word in words if "/session/" in word)).parent
        with contextlib.suppress(OSError):
            shutil.rmtree(folder) if what == "gone" else (folder / "owner").write_bytes(b"\0{")
    if kind == "store":
        for word in words:
            if re.search(rf"/{what}/[0-9a-f]{{24}}[.\w]*$", word):
                with Path(word).open("r+b") as file:
                    file.seek(chance.randrange(Path(word).stat().st_size))
                    file.write(b"\xa5\x5a")
    text, code = spoil(mode, done.stdout, chance, outputs)
    with contextlib.suppress(BrokenPipeError):
        out.write(text)
        out.flush()
    return code


def samples(said: bytes) -> set[int]:
    """Every time in nanoseconds that a true runner had for a sample."""
    events = (json.loads(line) for line in said.splitlines() if b'"samples"' in line)
    return {ns for event in events for ns in event["ns"]}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
