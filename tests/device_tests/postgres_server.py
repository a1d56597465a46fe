"""A PostgreSQL server of the tests' own: loopback, a folder of its own, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
from lab.machine import free_port

MAKE_POSTGRES = "make postgres"
USER = "measurer"
# With letters that a URL has to write as %40, %3A and %2F.
PASSWORD = "s@cr:t/word"  # noqa: S105
ENCODED_PASSWORD = "s%40cr%3At%2Fword"  # noqa: S105
# initdb and postgres refuse to run as root.
ACCOUNT = "postgres"
PATIENCE = 60.0


def find_programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version there is."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin")]
    folders.sort(key=lambda folder: int((re.match(r"\d+", folder.parent.name) or ["0"])[0]), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


class Server:
    """Started by ``start``; has to be ended by ``end``."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Short: the path of a Unix socket has room for 107 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="mdpg-", dir="/tmp"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            entry = pwd.getpwnam(ACCOUNT)
            for path in (self.folder, password):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        data = self.folder / "data"
        authentication = ["-A", "scram-sha-256", "--pwfile", password]
        subprocess.run(
            [self._programs / "initdb", "-D", data, "-U", USER, "--no-locale", "--no-sync", *authentication],
            check=True,
            capture_output=True,
            **self._account(),
        )
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-F", *address],
                stdout=log,
                stderr=log,
                **self._account(),
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connect().close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.1)

    def end(self) -> None:
        if self._process:
            # Immediate shutdown: nobody needs the data any more.
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_database(self, encoding: str = "UTF8") -> str:
        """The URL of an empty database."""
        name = f"runs_{uuid.uuid4().hex[:12]}"
        with contextlib.closing(self._connect()) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
        return f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        )

    def _account(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": [], "cwd": self.folder}
