"""``mobiledeploy history`` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from example_runs import accuracy_run, latency_run
from PIL import Image
from postgres_server import ENCODED_PASSWORD

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.commands.history import COMMANDS
from mobiledeploy.deploy.commands.tables import milliseconds
from mobiledeploy.deploy.terminal_plot import terminal_plot
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.history.moments import parse_moment
from mobiledeploy.device_tests.history.places import VARIABLE
from mobiledeploy.device_tests.latency_run import EMULATED_CLOCK
from mobiledeploy.errors import InputError

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "sqlalchemy", "alembic", "psycopg", "plotext", "matplotlib"}
DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
Ask = Callable[..., tuple[int, dict[str, Any]]]
Say = Callable[..., str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Exit code and the one JSON object of a command."""

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main(["history", *map(str, arguments), "--json"])
        captured = capsys.readouterr()
        assert captured.out.count("\n") == 1
        assert "Traceback" not in captured.err
        return code, json.loads(captured.out)

    return run


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """What a command prints for people, 120 columns wide."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> str:
        assert main(["history", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command fails with."""

    def run(code: int, *arguments: object) -> str:
        assert main(["history", *map(str, arguments)]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("error: ")
        return line

    return run


@pytest.fixture(scope="session")
def example_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Eight latency runs and one of accuracy, and their ids."""
    file = tmp_path_factory.mktemp("example") / "history.db"
    found = []
    with open_history(file) as history:
        for day in range(4):
            started = (DAY + timedelta(days=day)).isoformat()
            commit = f"{day // 2}{'abcdef01' * 3}"
            slow = latency_run(milliseconds=12 + day, started=started, seed=day, complete=day != 1)
            # A minute later: runs of one moment come in the order of their ids, which are random.
            later = (DAY + timedelta(days=day, minutes=1)).isoformat()
            fast = latency_run(milliseconds=4, started=later, seed=day, model="small.tflite", threads=1)
            found.append(history.add(slow, label="nightly", commit=commit))
            found.append(history.add(fast, commit=commit))
        found.append(history.add(accuracy_run()))
    return file, found


@pytest.fixture
def filled(
    example_history: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Ids of the runs in the history that the environment names: a copy of the example."""
    shutil.copy(example_history[0], tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "history.db"))
    monkeypatch.chdir(tmp_path)
    return list(example_history[1])


@pytest.mark.parametrize("command", [name for name, _, _ in COMMANDS])
def test_help_is_light_and_has_an_example(command: str) -> None:
    code = (
        "import sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        f"code = main(['history', {command!r}, '--help'])\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: [] 0"
    assert f"mobiledeploy history {command}" in done.stdout.partition("Example:")[2]
    documented = (ROOT / "docs" / "cli.md").read_text().partition("\n## history")[2].partition("\n## ")[0]
    options = set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)) - {"--help", "--json"}
    assert options
    assert all(f"{option}" in documented for option in options), options


def test_list(filled: list[str], ask: Ask, say: Say) -> None:
    code, data = ask("list")
    assert code == 0
    assert data["total"] == 9
    assert [row["id"] for row in data["runs"]][-1] == filled[-1]
    assert data["runs"][0]["time"] == "2026-03-01T12:00:00+00:00"
    text = say("list", "--last", "4")
    assert "4 of 9 runs" in text
    assert re.search(r"\b1[45]\.\d\d ms", text)
    assert re.search(r"95%: 1[45]\.\d\d-15\.\d\d", text)
    assert "top-1 60.0%" in text
    assert "4 threads" in text
    assert "1 thread\n" in re.sub(" +\n", "\n", text)
    assert "nightly; incomplete" in say("list", "--incomplete")


def test_filters(filled: list[str], ask: Ask) -> None:
    def count(*arguments: str) -> int:
        return len(ask("list", *arguments)[1]["runs"])

    assert count("--kind", "latency") == 8
    assert count("--model", "SMALL") == 4
    assert count("--model", "1212") == 1
    assert count("--device", "adb:") == count("--device", "pixel") == 8
    assert count("--engine", "litert") == 8
    assert count("--label", "nightly") == 4
    assert count("--incomplete") == 1
    assert count("--since", "2026-03-03") == 5
    assert count("--since", "1h") == 1
    assert count("--since", "2026-03-03", "-n", "2") == 2


def test_an_empty_history(ask: Ask, say: Say, fails: Callable[..., str], monkeypatch: Any) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert ask("list")[1]["runs"] == []
    assert "0 of 0 runs" in say("list")
    assert "no latencies to draw" in fails(3, "plot")


def test_show(filled: list[str], ask: Ask, say: Say, fails: Callable[..., str]) -> None:
    code, data = ask("show", filled[0][:10])
    assert code == 0
    assert (data["id"], data["label"]) == (filled[0], "nightly")
    assert len(data["run"]["launches"][0]["samples_ns"]) == 20
    text = say("show", filled[0][:10])
    for word in ("Google Pixel 6", "Google Tensor", "XNNPACK, 100%", "95%: ", "temperature", "nightly"):
        assert word in text
    assert "no: incomplete" in say("show", filled[2])
    text = say("show", filled[-1])
    assert "60.00% (95%: 31.27-83.18)" in text
    wrong = filled[0][:9] + ("0" if filled[0][9] != "0" else "1")
    assert filled[0] in fails(3, "show", wrong)
    assert "begins 9 ids" in fails(3, "show", "")


def test_emulated_times_are_always_marked(tmp_path: Path, ask: Ask, say: Say) -> None:
    place = ("--history", tmp_path / "history.db")
    with open_history(tmp_path / "history.db") as history:
        identity = history.add(latency_run(clock=EMULATED_CLOCK))
    assert EMULATED_CLOCK in say("list", *place)
    text = say("show", identity, *place)
    for line in text.splitlines():
        if re.match(r"(median|p90|least)", line):
            assert EMULATED_CLOCK in line
    assert say("plot", *place).count(EMULATED_CLOCK) == 2
    say("plot", *place, "-o", tmp_path / "latency.svg")
    assert (tmp_path / "latency.svg").read_text().count(EMULATED_CLOCK) == 2
    assert EMULATED_CLOCK in say("export", *place)
    assert ask("list", *place)[1]["runs"][0]["clock"] == EMULATED_CLOCK


def test_plot_in_the_terminal(filled: list[str], ask: Ask, say: Say) -> None:
    _, data = ask("plot")
    first, second = data["series"]
    assert (first["label"], second["label"]) == (
        "mobilenet_v2_int8.tflite, adb:0A041FDD4003XK, 4 threads",
        "small.tflite, adb:0A041FDD4003XK, 1 thread",
    )
    assert [point["complete"] for point in first["points"]] == [True, False, True, True]
    assert first["points"][0]["x"] == DAY.timestamp()
    assert first["points"][0]["low"] <= first["points"][0]["median"] <= first["points"][0]["p90"]
    text = say("plot")
    assert "\x1b" not in text
    picture = text.partition("└")[0]
    assert picture.count("A") >= 4
    assert picture.count("B") == 4
    assert "A        mobilenet_v2_int8.tflite" in text
    _, data = ask("plot", "--by", "commit", "--model", "small")
    assert [word for _, word in data["ticks"]] == ["0abcdef0", "1abcdef0"]
    assert [point["x"] for point in data["series"][0]["points"]] == [0, 0, 1, 1]


def test_pictures(filled: list[str], ask: Ask, say: Say, fails: Callable[..., str]) -> None:
    assert "written" in say("plot", "-o", "latency.png")
    with Image.open("latency.png") as image:
        assert image.width == 1350
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 10
    assert ask("plot", "--by", "commit", "-o", "a.svg")[1]["file"] == "a.svg"
    say("plot", "--by", "commit", "-o", "b.svg")
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert "Hollow: incomplete" in Path("a.svg").read_text()
    assert ".svg or .png" in fails(3, "plot", "-o", "latency.jpg")
    Path("taken").touch()
    assert fails(7, "plot", "-o", "taken/latency.png")


def test_what_cannot_be_drawn(tmp_path: Path, fails: Callable[..., str]) -> None:
    file = tmp_path / "history.db"
    with open_history(file) as history:
        for threads in range(1, 10):
            history.add(latency_run(threads=threads, samples=2))
        history.add(latency_run(model="cut.tflite", launches=0))
    assert "9 series" in fails(3, "plot", "--history", file)
    assert "1 without samples" in fails(3, "plot", "--history", file, "--model", "cut")


def test_one_run_alone_can_be_drawn(tmp_path: Path, say: Say) -> None:
    with open_history(tmp_path / "history.db") as history:
        history.add(latency_run(samples=1, launches=1))
    assert "A" in say("plot", "--history", tmp_path / "history.db").partition("└")[0]
    say("plot", "--history", tmp_path / "history.db", "-o", tmp_path / "one.png")


def test_export(filled: list[str], ask: Ask, say: Say, fails: Callable[..., str]) -> None:
    rows = list(csv.DictReader(io.StringIO(say("export"))))
    assert [row["id"] for row in rows][-1] == filled[-1]
    assert (len(rows), rows[0]["threads"], rows[-1]["threads"]) == (9, "4", "")
    assert 11e6 < float(rows[0]["median_ns"]) < 13e6
    runs = [
        json.loads(line) for line in say("export", "--format", "jsonl", "--label", "nightly").splitlines()
    ]
    assert len(runs) == 4
    assert len(runs[0]["run"]["launches"][0]["samples_ns"]) == 20
    say("export", "-o", "runs.jsonl", "--last", "2")
    assert len(Path("runs.jsonl").read_text().splitlines()) == 2
    assert ask("export", "-o", "runs.csv")[1]["format"] == "csv"
    assert len(Path("runs.csv").read_text().splitlines()) == 10
    assert len(ask("export", "--kind", "accuracy")[1]["runs"]) == 1
    assert "--format" in fails(3, "export", "-o", "runs.txt")
    assert fails(7, "export", "-o", "/proc/runs.csv")


def test_remove(filled: list[str], ask: Ask, say: Say, fails: Callable[..., str]) -> None:
    assert "no run has the id" in fails(3, "remove", filled[0], "nothing")
    assert ask("remove", filled[0][:12], filled[1])[1]["removed"] == filled[:2]
    assert ask("list")[1]["total"] == 7
    assert filled[2] in say("remove", filled[2])


def test_prune(filled: list[str], ask: Ask, say: Say) -> None:
    assert "would be removed  4 runs from before 2026-03-03 00:00 UTC" in say(
        "prune", "--before", "2026-03-03", "--dry-run"
    )
    assert ask("list")[1]["total"] == 9
    assert ask("prune", "--before", "2026-03-03")[1]["count"] == 4
    assert ask("list")[1]["total"] == 5
    assert ask("prune", "--before", "1000w")[1]["count"] == 0


def test_mistakes(tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such history" in fails(3, "list", "--history", tmp_path / "typo.db")
    assert not (tmp_path / "typo.db").exists()
    assert "7d" in fails(3, "list", "--since", "yesterday")
    assert "7d" in fails(3, "prune", "--before", "\x1b[31m")
    (tmp_path / "foreign.db").write_text("no database" * 100)
    assert "foreign.db" in fails(3, "list", "--history", tmp_path / "foreign.db")
    line = fails(8, "list", "--history", "postgresql://ada:s3cret@127.0.0.1:1/runs")
    assert "ada:***@127.0.0.1:1/runs" in line
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert "mobiledeploy[history]" in fails(6, "list")


def test_a_missing_terminal_library_is_named(filled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert main(["history", "plot"]) == 6
    assert main(["history", "plot", "-o", "still.png"]) == 0


def test_hostile_names(tmp_path: Path, ask: Ask, say: Say) -> None:
    ugly = "\x1b]0;owned\x07[red]$\\frac{1}$\x9b31m\u202e\ud800.tflite"
    place = ("--history", tmp_path / "history.db")
    with open_history(tmp_path / "history.db") as history:
        identity = history.add(latency_run(model=ugly, device=ugly, name=ugly), label=ugly, commit=ugly)
    for arguments in (("list",), ("show", identity), ("plot",), ("export",)):
        text = say(*arguments, *place)
        assert "[red]" in text
        assert all(char.isprintable() or char == "\n" for char in text)
    say("plot", *place, "-o", tmp_path / "plot.png")
    assert ask("show", identity, *place)[1]["run"]["model"]["name"] == ugly
    assert json.loads(say("export", *place, "--format", "jsonl"))["label"] == ugly


@pytest.mark.postgres
def test_on_a_server(
    postgres: str, ask: Ask, say: Say, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, postgres)
    with open_history() as history:
        identity = history.add(latency_run())
    _, data = ask("list")
    assert data["history"] == postgres.replace(ENCODED_PASSWORD, "***")
    for arguments in (("list",), ("show", identity), ("plot",), ("export",), ("prune", "--before", "1d")):
        assert ENCODED_PASSWORD not in say(*arguments)
    assert ask("list")[1]["total"] == 0
    assert main(["history", "show", identity]) == 3
    assert ENCODED_PASSWORD not in capsys.readouterr().err


def test_moments() -> None:
    now = datetime(2026, 3, 8, 12, tzinfo=UTC)
    assert parse_moment("7d", now) == DAY
    assert parse_moment(" 30m", now) == now - timedelta(minutes=30)
    assert parse_moment("1w", now) == DAY
    assert parse_moment("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_moment("2026-03-01T13:00+01:00") == DAY
    for text in ("", "7", "d", "7y", "999999w", "2026-13-01", "tomorrow"):
        with pytest.raises(InputError, match="7d"):
            parse_moment(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (12_345_678, "12.35"),
        (123_456, "0.1235"),
        (1_234_567_890, "1235"),
        (999_960_000, "1000"),
        (999, "0.000999"),
    ],
)
def test_milliseconds(nanoseconds: float, text: str) -> None:
    assert milliseconds(nanoseconds) == text


def test_the_width_of_a_terminal_plot(filled: list[str]) -> None:
    from mobiledeploy.deploy.history_series import chart

    with open_history() as history:
        drawn = chart(history.find(), "time")
    for width, expected in ((10, 40), (80, 80), (500, 140)):
        lines = re.sub("\x1b\\[[0-9;]*m", "", terminal_plot(drawn, width)).splitlines()
        assert {len(line) for line in lines} <= {expected, expected - 1}
        assert len(lines) == 22
