"""Where a history may be, what is refused there, and that nothing foreign is touched."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from example_runs import latency_run
from postgres_server import ENCODED_PASSWORD, PASSWORD, Server

from mobiledeploy.device_tests.history import HistoryUnavailableError, open_history
from mobiledeploy.device_tests.history import engine as engine_module
from mobiledeploy.device_tests.history.engine import make_engine, reading
from mobiledeploy.device_tests.history.places import VARIABLE, find_place, usual_file
from mobiledeploy.device_tests.history.schema import VERSION_TABLE, VERSIONS, migrations
from mobiledeploy.device_tests.history.tables import Base
from mobiledeploy.errors import EnvironmentProblem, InputError, MobileDeployError, OutputError

REFUSED_URLS = {
    "postgresql://ada:top/s3cret@host/runs": "ambiguous",
    "postgresql://ada:top@s3cret@host/runs": "ambiguous",
    "postgresql://ada:top#s3cret@host/runs": "ambiguous",
    "postgresql://ada:s3cret@host:port/runs": "not understood",
    "postgresql://ada:s3cret@host": "no database",
    "mysql://ada:s3cret@host/runs": "no history is kept",
    "sqlite://": "no file",
    "sqlite:///:memory:": "no file",
    "sqlite:///a.db?password=s3cret": "no file",
}


def refused(kind: type[MobileDeployError], url: str | Path) -> str:
    with pytest.raises(kind) as caught:
        open_history(url)
    text = str(caught.value)
    assert "\n" not in text
    return text


def execute(file: Path, script: str) -> None:
    connection = sqlite3.connect(file)
    connection.executescript(script)
    connection.close()


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_place().file == usual_file() == tmp_path / "state" / "mobiledeploy" / "history.db"
    monkeypatch.setenv(VARIABLE, "here.db")
    assert find_place().file == Path("here.db")
    assert find_place(tmp_path / "a.db").file == find_place(f"sqlite:///{tmp_path}/a.db").file
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_place("~/b.db").file == tmp_path / "b.db"
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        place = find_place(f"{scheme}://ada:s3cret@host:99/runs?sslmode=require&password=s3cret")
        assert place.shown == "postgresql://ada:***@host:99/runs?password=***&sslmode=require"
        assert place.without_secrets("no\nentry for s3cret") == "no entry for ***"
    assert find_place("postgresql:///runs?host=/run/postgresql").file is None


def test_a_new_file_in_a_new_folder(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "down" / "history.db"
    with open_history(file) as history:
        history.add(latency_run(samples=2))
    with open_history(f"sqlite:///{file}") as history:
        assert history.count() == 1
        assert history.where == str(file)


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_urls_that_are_refused_show_no_password(url: str) -> None:
    text = refused(InputError, url)
    assert REFUSED_URLS[url] in text
    assert "s3cret" not in text


def test_opening_twice_changes_nothing(history_url: str) -> None:
    identity = open_history(history_url).add(latency_run(samples=2))
    before = Path(history_url).read_bytes() if "://" not in history_url else b""
    with open_history(history_url) as history:
        assert [row.id for row in history.find()] == [identity]
    if before:
        assert Path(history_url).read_bytes() == before


def test_versions_are_those_of_the_scripts() -> None:
    # Written out in the SQL of this file, as in databases that exist.
    assert (VERSION_TABLE, VERSIONS[0]) == ("mobiledeploy_history_version", "0001")
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(VERSIONS)


def test_the_scripts_make_the_tables_that_the_code_has(history_url: str) -> None:
    open_history(history_url)
    place = find_place(history_url)
    with reading(make_engine(place), place) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []


def _foreign(file: Path) -> None:
    execute(file, "CREATE TABLE notes (id INTEGER); INSERT INTO notes VALUES (1)")


def _named_alike(file: Path) -> None:
    execute(file, "CREATE TABLE mobiledeploy_runs (id INTEGER)")


def _half_made(file: Path) -> None:
    execute(file, "CREATE TABLE mobiledeploy_history_version (version_num VARCHAR(32) NOT NULL)")


def _without_runs(file: Path) -> None:
    _half_made(file)
    execute(file, "INSERT INTO mobiledeploy_history_version VALUES ('0001')")


def _of_two_versions(file: Path) -> None:
    open_history(file)
    execute(file, "INSERT INTO mobiledeploy_history_version VALUES ('0000')")


def _of_an_odd_version(file: Path) -> None:
    open_history(file)
    execute(file, "UPDATE mobiledeploy_history_version SET version_num = 'abc'")


def _no_database(file: Path) -> None:
    file.write_text("id,kind,time\n" * 1000)


def _damaged(file: Path) -> None:
    open_history(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


@pytest.mark.parametrize(
    "make",
    [
        *(_foreign, _named_alike, _half_made, _without_runs, _of_two_versions, _of_an_odd_version),
        *(_no_database, _damaged),
    ],
)
def test_what_is_not_ours_is_refused_and_left(tmp_path: Path, make: object) -> None:
    file = tmp_path / "some.db"
    assert callable(make)
    make(file)
    before = file.read_bytes()
    text = refused(InputError, file)
    assert str(file) in text
    assert "--history" in text
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["some.db"]


def test_a_newer_history_is_refused_and_left(history_url: str) -> None:
    open_history(history_url).add(latency_run(samples=2))
    place = find_place(history_url)
    with engine_module.writing(make_engine(place), place) as connection:
        connection.exec_driver_sql("UPDATE mobiledeploy_history_version SET version_num = '9999'")
    text = refused(InputError, history_url)
    assert f"version 9999, this mobiledeploy knows up to {VERSIONS[-1]}" in text
    assert "pip install -U mobiledeploy" in text
    assert ENCODED_PASSWORD not in text
    with reading(make_engine(place), place) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM mobiledeploy_runs").scalar() == 1


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    assert open_history(tmp_path / "history.db").count() == 0


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(OutputError, tmp_path / "file" / "history.db")
    assert "no file" in refused(InputError, tmp_path)
    assert refused(OutputError, "/proc/history.db")
    with pytest.raises(InputError, match="no such history"):
        open_history(tmp_path / "typo.db", must_exist=True)
    assert not (tmp_path / "typo.db").exists()


def test_a_file_that_another_process_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT", 0.3)
    history = open_history(tmp_path / "history.db")
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(HistoryUnavailableError, match="another process") as caught:
        history.add(latency_run(samples=2))
    assert caught.value.exit_code == 8
    other.execute("ROLLBACK")
    other.close()
    history.add(latency_run(samples=2))


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = refused(HistoryUnavailableError, f"postgresql://ada:s3cret@127.0.0.1:{port}/runs")
    assert f"postgresql://ada:***@127.0.0.1:{port}/runs" in text
    assert "s3cret" not in text


@pytest.mark.slow
def test_a_server_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        refused(HistoryUnavailableError, f"postgresql://ada:s3cret@127.0.0.1:{silent.getsockname()[1]}/runs")
        assert 8 < time.monotonic() - began < 20


@pytest.mark.postgres
def test_what_a_server_refuses(postgres: str) -> None:
    wrong = postgres.replace(ENCODED_PASSWORD, "wr%40ng")
    text = refused(HistoryUnavailableError, wrong)
    assert "password authentication failed" in text
    assert ".pgpass" in text
    assert "wr@ng" not in text
    assert "wr%40ng" not in text
    text = refused(HistoryUnavailableError, postgres.rpartition("/")[0] + "/nowhere")
    assert "createdb" in text
    assert PASSWORD not in text


@pytest.mark.postgres
def test_a_user_who_may_only_read(postgres: str) -> None:
    with open_history(postgres) as history:
        identity = history.add(latency_run(samples=2))
    place = find_place(postgres)
    with engine_module.writing(make_engine(place), place) as connection:
        for statement in (
            "CREATE ROLE reader LOGIN PASSWORD 'reader'",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        ):
            connection.exec_driver_sql(statement)
    with open_history(postgres.replace(f"measurer:{ENCODED_PASSWORD}", "reader:reader")) as history:
        assert history.load(identity) == latency_run(samples=2)
        with pytest.raises(OutputError, match="permission denied"):
            history.add(latency_run(samples=2))


@pytest.mark.postgres
def test_other_tables_of_a_team_are_no_obstacle(postgres: str) -> None:
    place = find_place(postgres)
    with engine_module.writing(make_engine(place), place) as connection:
        connection.exec_driver_sql("CREATE TABLE notes (id INTEGER)")
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('theirs')")
    assert open_history(postgres).count() == 0
    with reading(make_engine(place), place) as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        assert list(found) == ["theirs"]


@pytest.mark.postgres
def test_a_database_without_an_encoding(postgres_server: Server) -> None:
    with open_history(postgres_server.make_database("SQL_ASCII")) as history:
        run = latency_run(name="Pixel \u00fc", samples=2)
        assert history.load(history.add(run)) == run
        assert history.find()[0].device_name == "Google Pixel \u00fc"


@pytest.mark.parametrize(("missing", "extra"), [("sqlalchemy", "history"), ("alembic", "history")])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EnvironmentProblem, match=f"{missing}.*mobiledeploy\\[{extra}\\]"):
        open_history(tmp_path / "history.db")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(EnvironmentProblem, match=r"psycopg.*mobiledeploy\[postgres\]"):
        open_history("postgresql://ada@127.0.0.1:1/runs")


def test_importing_is_light() -> None:
    code = (
        "import json, sys\n"
        "import mobiledeploy.device_tests.history\n"
        "heavy = {'sqlalchemy', 'alembic', 'psycopg', 'numpy', 'torch', 'plotext', 'matplotlib'}\n"
        "sys.stdout.write(json.dumps(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
