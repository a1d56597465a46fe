"""The version of a history's tables: found, upgraded, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.device_tests.history.engine import reading, writing
from mobiledeploy.device_tests.history.places import Place
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

VERSION_TABLE = "mobiledeploy_history_version"
# Of the scripts in migrations/versions, oldest first.
VERSIONS = ("0001", "0002", "0003")
# Any number that no other program on the same server is likely to use.
_LOCK = 0x6D6F_6269_6C65
_LOCK_TIMEOUT = "30s"


def bring_up_to_date(engine: Engine, place: Place) -> None:
    """Make the tables, or upgrade older ones, in one transaction; nothing if they are as they should.

    Raises:
        InputError: the database is not ours, half made, or of a newer mobiledeploy; it is left as it is.
        HistoryUnavailableError, OutputError: it cannot be reached, or not be written.
    """
    with reading(engine, place) as connection:
        if find_version(connection, place) == VERSIONS[-1]:
            return
    with writing(engine, place) as connection:
        if place.file is None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        # Another process may have done it while this one waited.
        if find_version(connection, place) != VERSIONS[-1]:
            _upgrade(connection)


def find_version(connection: Connection, place: Place) -> str | None:
    """One of ``VERSIONS``; None: the database is empty.

    Raises:
        InputError: the database is not ours, half made, or of a newer mobiledeploy.
    """
    from sqlalchemy import String, column, inspect, select, table

    from mobiledeploy.device_tests.history.tables import RUNS

    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        # A server's database may hold a team's other tables; a file is ours or not.
        if RUNS in tables or (tables and place.file is not None):
            raise _refuse("this database is not a history of mobiledeploy", place)
        return None
    versions = select(column("version_num", String())).select_from(table(VERSION_TABLE))
    found = list(connection.scalars(versions))
    if len(found) != 1 or RUNS not in tables:
        raise _refuse("the history is half made", place)
    version = found[0]
    if version not in VERSIONS:
        if version.isdecimal() and int(version) > int(VERSIONS[-1]):
            raise InputError(
                f"the history has version {version}, this mobiledeploy knows up to {VERSIONS[-1]}",
                where=place.shown,
                hint="Upgrade mobiledeploy: pip install -U mobiledeploy",
            )
        raise _refuse(f"the history has an unknown version, {version[:20]!r}", place)
    return version


def migrations() -> Path:
    """The folder of the scripts."""
    return Path(__file__).parent / "migrations"


def _upgrade(connection: Connection) -> None:
    with needs("history"):
        from alembic import command
        from alembic.config import Config
    config = Config()
    # The configuration's format gives % a meaning.
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse(what: str, place: Place) -> InputError:
    return InputError(
        f"{what}; nothing was changed",
        where=place.shown,
        hint="Name another file or database with --history",
    )
