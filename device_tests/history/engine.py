"""Connections: time limits, transactions, and what a database's complaints mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mobiledeploy.device_tests.history.errors import HistoryUnavailableError
from mobiledeploy.device_tests.history.places import Place
from mobiledeploy.errors import InputError, MobileDeployError, OutputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

CONNECT_TIMEOUT = 10  # seconds
# A writer of SQLite is done in milliseconds; so long others may take before we give up.
BUSY_TIMEOUT = 30.0
_WRITES = "mobiledeploy_writes"


def make_engine(place: Place) -> Engine:
    """Connections to a place; opens none.

    Raises:
        EnvironmentProblem: SQLAlchemy or psycopg is not installed.
    """
    with needs("history"):
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool
    # A run may take an hour: no connection is kept meanwhile.
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if place.file is not None:
        engine = create_engine(place.url, connect_args={"timeout": BUSY_TIMEOUT}, **options)
        _own_transactions(engine)
        return engine
    ours = {
        "connect_timeout": CONNECT_TIMEOUT,
        # A server that vanishes in mid-sentence.
        "tcp_user_timeout": 1000 * CONNECT_TIMEOUT,
        "application_name": "mobiledeploy",
        # A database without an encoding (SQL_ASCII) would hand back bytes.
        "client_encoding": "utf8",
    }
    arguments = {name: value for name, value in ours.items() if name not in place.url.query}
    with needs("postgres"):
        return create_engine(place.url, connect_args=arguments, **options)


def _own_transactions(engine: Engine) -> None:
    """SQLite's writers take their lock when they begin.

    Left to itself a transaction begins by reading, and fails at once when it comes to write and another
    has written since; one that waits for its turn before it reads loses nothing.
    """
    from sqlalchemy import event

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None

    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


@contextmanager
def reading(engine: Engine, place: Place) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        HistoryUnavailableError, OutputError, InputError: see ``explain``.
    """
    with _explained(place), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine, place: Place) -> Iterator[Connection]:
    """A transaction that writes: all of it or nothing.

    Raises:
        HistoryUnavailableError, OutputError, InputError: see ``explain``.
    """
    with (
        _explained(place),
        engine.connect().execution_options(**{_WRITES: True}) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise explain(error.orig or error, place) from error


def explain(error: BaseException, place: Place) -> MobileDeployError:
    """What a driver's complaint means for a user.

    Returns:
        ``OutputError``: it may not be written, or the disk is full; ``InputError``: the file is damaged;
        else ``HistoryUnavailableError``.
    """
    text = place.without_secrets(str(error))
    if place.file is not None:
        return _explain_sqlite(getattr(error, "sqlite_errorname", None) or "", text, place)
    return _explain_postgresql(getattr(error, "sqlstate", None) or "", text, place)


def _explain_sqlite(name: str, text: str, place: Place) -> MobileDeployError:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryUnavailableError(
            f"another process has kept the history for {BUSY_TIMEOUT:.0f} s",
            where=place.shown,
            hint="Wait until it is done, or end it",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_MISMATCH")):
        return InputError(
            f"this is no history, or a damaged one ({text})",
            where=place.shown,
            hint="Take it from a backup, or name another file with --history",
        )
    return OutputError(
        f"the history cannot be used ({text})",
        where=place.shown,
        hint="Check the folder's permissions and free space, or name another file with --history",
    )


def _explain_postgresql(state: str, text: str, place: Place) -> MobileDeployError:
    if state in ("42501", "25006") or state.startswith("53"):
        return OutputError(
            f"the server does not let this user write ({text})",
            where=place.shown,
            hint="Ask the server's keeper for CREATE, SELECT, INSERT and DELETE, and for space",
        )
    if state.startswith("55"):
        hint = "Another process upgrades the history: try again"
    else:
        # A refused connection carries no code, so the text alone says which it was.
        hint = (
            "Check that the server runs and is reachable, user and password (~/.pgpass, PGPASSWORD), and "
            "that the database exists (createdb)"
        )
    return HistoryUnavailableError(f"the server of the history fails ({text})", where=place.shown, hint=hint)
