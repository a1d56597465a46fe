"""Where the history is: a file of the user's, or a team's server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from sqlalchemy import URL

VARIABLE = "MOBILEDEPLOY_HISTORY"
FORMS = "Give a file name, sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
# What libpq takes a password from, in a URL's query.
_SECRET = ("password", "sslpassword")
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the runs are.

    Attributes:
        url: for SQLAlchemy; ``str`` of it would show no password, but those of its query.
        file: of SQLite; None: a server.
        shown: for people: never a password.
        usual: nobody named it.
    """

    url: URL
    file: Path | None
    shown: str
    usual: bool = False

    def without_secrets(self, text: str) -> str:
        """A text of a library, one line, without the passwords of the URL."""
        secrets = [self.url.password, *(self.url.query.get(name) for name in _SECRET)]
        for secret in secrets:
            if secret:
                text = text.replace(str(secret), "***")
        return one_line(text)


def find_place(wanted: str | Path | None = None) -> Place:
    """What the user named, else what ``MOBILEDEPLOY_HISTORY`` names, else the user's state folder.

    Args:
        wanted: a file, or a URL of SQLite or PostgreSQL.

    Raises:
        InputError: it is not understood.
        EnvironmentProblem: SQLAlchemy is not installed.
    """
    given = wanted or os.environ.get(VARIABLE)
    if not given:
        return _file(usual_file(), usual=True)
    if isinstance(given, Path) or "://" not in given:
        return _file(Path(given).expanduser())
    return _parse(given)


def usual_file() -> Path:
    """``~/.local/state/mobiledeploy/history.db``, or that of ``XDG_STATE_HOME``."""
    configured = os.environ.get("XDG_STATE_HOME")
    base = Path(configured) if configured else Path.home() / ".local" / "state"
    return base / "mobiledeploy" / "history.db"


def _file(path: Path, *, usual: bool = False) -> Place:
    with needs("history"):
        from sqlalchemy import URL
    if path.is_dir() or "\0" in str(path):
        raise InputError("this is no file", where=one_line(str(path)), hint=FORMS)
    return Place(URL.create("sqlite", database=str(path)), path, one_line(str(path)), usual)


def _parse(text: str) -> Place:
    with needs("history"):
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError
    scheme, _, rest = text.partition("://")
    # Nothing after the scheme is shown until it is known which part is the password.
    where = f"{one_line(scheme)}://..."
    if scheme not in ("sqlite", *_POSTGRESQL):
        raise InputError("no history is kept in such a database", where=where, hint=FORMS)
    if scheme != "sqlite" and not _clear(rest):
        hint = "In user and password write @ as %40, / as %2F, : as %3A, # as %23 and ? as %3F"
        raise InputError("the URL is ambiguous", where=where, hint=hint)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # The error may hold the password, so it is not chained.
        del error
        raise InputError("the URL is not understood", where=where, hint=FORMS) from None
    if scheme == "sqlite":
        if not url.database or url.database == ":memory:" or url.query:
            raise InputError("the URL names no file alone", where=where, hint=FORMS)
        return _file(Path(url.database).expanduser())
    if not url.database:
        raise InputError("the URL names no database", where=where, hint=FORMS)
    return Place(url.set(drivername="postgresql+psycopg"), None, _show(url))


def _clear(rest: str) -> bool:
    """Whether user and password end where a reader would think."""
    authority, _, path = rest.partition("/")
    return authority.count("@") <= 1 and "@" not in path.partition("?")[0] and "#" not in rest


def _show(url: URL) -> str:
    query = {key: "***" if key in _SECRET else value for key, value in url.query.items()}
    hidden = url.set(drivername="postgresql", query=query)
    return one_line(hidden.render_as_string(hide_password=True).replace("%2A%2A%2A", "***"))
