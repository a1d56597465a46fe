"""``mobiledeploy report`` as a user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from example_history import DAYS, diagnosis_file, gate_file, make_history
from interrupts import heed_interrupts

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.report import page as page_module
from mobiledeploy.deploy.report.serve import LOOPBACK, serving
from mobiledeploy.device_tests.history import open_history
from mobiledeploy.device_tests.history.places import VARIABLE
from mobiledeploy.errors import InputError, OutputError

HEAVY = {"torch", "numpy", "sqlalchemy", "jinja2", "vl_convert", "matplotlib", "http.server"}
Fails = Callable[..., str]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    file = tmp_path_factory.mktemp("command") / "history.db"
    return file, make_history(file)


@pytest.fixture(autouse=True)
def _here(example: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(example[0]))
    monkeypatch.setattr(page_module, "_library", lambda: "/* plots */")


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """The one line that a command fails with."""

    def run(code: int, *arguments: object) -> str:
        assert main(["report", *map(str, arguments)]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        return line

    return run


def test_help_is_light() -> None:
    code = (
        "import sys\n"
        "from mobiledeploy.deploy.cli import main\n"
        "code = main(['report', '--help'])\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: [] 0"


def test_page_and_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--gate", str(gate_file(Path("g.json"))), "--diagnosis", str(diagnosis_file(Path("d.json")))]
    assert main(["report", "-o", "out/report.html", "--title", "Nightly", *given]) == 0
    said = capsys.readouterr().out
    assert f"{DAYS + 6} of {DAYS + 6}" in said
    assert "<h1>Nightly</h1>" in Path("out/report.html").read_text()
    assert main(["report", "--format", "md", "--label", "nightly"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("### Model report\n")
    assert f"runs **{DAYS + 1} of {DAYS + 6}**" in said
    assert main(["report", "-o", "report.md", "--json", *given]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["file"] == "report.md"
    assert data["tables"]["files"]["columns"][0] == "mark"
    assert not list(Path().glob("*.partial*"))


def test_chosen_runs(example: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    first, second = example[1][:2]
    assert main(["report", first[:12], second, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["runs"]) == {first, second}


@pytest.mark.slow
def test_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, head in (("svg", b"<svg"), ("png", b"\x89PNG")):
        arguments = ["--model", "net", "--pictures", "pictures", "--picture-format", kind]
        assert main(["report", "-o", "docs/r.md", *arguments]) == 0
        drawn = sorted(Path("pictures").glob(f"*.{kind}"))
        assert len(drawn) >= 6
        assert all(path.read_bytes().startswith(head) for path in drawn)
        linked = re.findall(r"\]\(<(.*?)>\)", Path("docs/r.md").read_text())
        assert sorted(os.path.normpath(f"docs/{link}") for link in linked) == list(map(str, drawn))
    assert "http" not in re.sub(r"http://www.w3.org/\S+", "", Path("pictures/history-1.svg").read_text())
    capsys.readouterr()


def test_empty_and_unfitting_histories(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    line = fails(3, "-o", "r.html", "--label", "weekly")
    assert f"none of its {DAYS + 6} runs fits. Widen the filters" in line
    open_history("empty.db").close()
    assert "empty.db: the history is empty. Measure first" in fails(
        3, "-o", "r.html", "--history", "empty.db"
    )
    assert "no such history" in fails(3, "-o", "r.html", "--history", "nowhere.db")
    assert "no run has the id 'ffff'" in fails(3, "ffff", "-o", "r.html")
    assert not Path("r.html").exists()


def test_a_history_of_a_newer_version(fails: Fails) -> None:
    open_history("new.db").close()
    with sqlite3.connect("new.db") as connection:
        connection.execute("UPDATE mobiledeploy_history_version SET version_num = '9999'")
    line = fails(3, "-o", "r.html", "--history", "new.db")
    assert "new.db: the history has version 9999" in line
    assert "pip install -U mobiledeploy" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("-o", "report.pdf"),
            "report.pdf: the name does not say which form to write. End it in .html or .md",
        ),
        ((), "nothing says where the report goes. Give -o report.html"),
        (("--format", "html"), "nothing says where the report goes"),
        (("--serve", "-o", "r.html"), "--serve shows a page and writes none"),
        (("-o", "r.html", "--gate", "no.json"), "no.json: cannot be read (No such file or directory)"),
        (("-o", "r.html", "--gate", "text.json"), "text.json: not what gate prints (it is no JSON)"),
        (
            ("-o", "r.html", "--diagnosis", "list.json"),
            "list.json: not what diagnose prints ([] is no object)",
        ),
        (
            ("-o", "r.html", "--diagnosis", "part.json"),
            "part.json: not what diagnose prints (layers is missing)",
        ),
        (("-o", "r.html", "--file", "no.tflite"), "no.tflite"),
        (("-o", "r.html", "--since", "soon"), "'soon' is no time"),
    ],
)
def test_bad_input(fails: Fails, arguments: tuple[str, ...], words: str) -> None:
    Path("text.json").write_text("hello")
    Path("list.json").write_text("[]")
    Path("part.json").write_text('{"model": "net", "total": 1.5, "verdict": ""}')
    line = fails(3, *arguments)
    assert words in line
    assert not Path("r.html").exists()


def test_a_place_that_cannot_be_written(fails: Fails) -> None:
    Path("file").write_text("")
    assert "cannot be written" in fails(7, "-o", "file/r.html")


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it is to answer; an empty text is an error."""
    texts = ["<p>one</p>"]

    def make() -> str:
        if not texts[0]:
            raise InputError("the history is <empty>")
        return texts[0]

    with serving(make) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}", texts
        server.shutdown()
        thread.join()


def _get(address: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(address, headers={"Host": host} if host else {})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_served_anew_on_each_request(served: tuple[str, list[str]]) -> None:
    address, texts = served
    assert _get(f"{address}/") == (200, "<p>one</p>")
    texts[0] = "<p>two</p>"
    assert _get(f"{address}/?x=1") == (200, "<p>two</p>")
    texts[0] = ""
    code, text = _get(f"{address}/")
    assert (code, "the history is &lt;empty&gt;" in text) == (503, True)


def test_served_to_this_machine_alone(served: tuple[str, list[str]]) -> None:
    address, _ = served
    assert address.startswith("http://127.0.0.1:")
    port = address.rpartition(":")[2]
    assert _get(f"{address}/../../etc/passwd")[0] == 404
    assert _get(f"{address}/", f"evil.example:{port}")[0] == 403
    assert _get(f"{address}/", f"localhost:{port}")[0] == 200


def test_a_port_in_use(served: tuple[str, list[str]]) -> None:
    port = int(served[0].rpartition(":")[2])
    with pytest.raises(OutputError, match="--port"), serving(lambda: "", port):
        pass


@pytest.mark.slow
def test_serve_until_interrupted() -> None:
    command = [sys.executable, "-m", "mobiledeploy.deploy", "report", "--serve"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)
    try:
        assert process.stderr
        line = process.stderr.readline()
        (address,) = re.findall(r"^report: (http://127\.0\.0\.1:\d+/) ", line)
        code, text = _get(address)
        assert (code, "<h1>Model report</h1>" in text) == (200, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
