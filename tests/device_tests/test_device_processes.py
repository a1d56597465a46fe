"""Programs on this host: bounded in time and memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from mobiledeploy.device_tests.local import LocalTransport
from mobiledeploy.device_tests.processes import KEPT, run_process


def test_feeds_more_than_a_pipe_holds() -> None:
    data = bytes(range(256)) * 4000
    done = run_process(["cat"], 20, feed=data)
    assert (done.exit_code, done.stdout, done.stderr, done.dropped) == (0, data, b"", 0)


def test_a_program_that_does_not_read() -> None:
    assert run_process(["true"], 20, feed=b"x" * 1_000_000).exit_code == 0


def test_files_in_and_out(tmp_path: Path) -> None:
    source, sink = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"abc" * 100_000)
    done = run_process(["cat"], 20, feed=source, into=sink)
    assert done.exit_code == 0
    assert sink.read_bytes() == source.read_bytes()


def test_a_time_out_ends_the_whole_group() -> None:
    began = time.monotonic()
    done = run_process(["sh", "-c", "trap '' TERM; echo a; sleep 60 & sleep 60"], 1)
    assert time.monotonic() - began < 4
    assert (done.exit_code, done.stdout) == (None, b"a\n")


def test_a_daemon_left_behind_is_not_waited_for() -> None:
    began = time.monotonic()
    done = run_process(["sh", "-c", "echo a; setsid sleep 5 & exit 3"], 20)
    assert time.monotonic() - began < 4
    assert (done.exit_code, done.stdout) == (3, b"a\n")


def test_outputs_that_are_closed_early() -> None:
    done = run_process(["sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 4"], 20)
    assert done.exit_code == 4


def test_variables_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD", "1")
    done = run_process(["sh", "-c", "echo $OLD $NEW"], 20, environment={"NEW": "2"})
    assert done.stdout == b"1 2\n"


@pytest.mark.slow
def test_100_mb_of_log_do_not_eat_memory() -> None:
    code = (
        "from pathlib import Path\n"
        "from mobiledeploy.device_tests.local import LocalTransport\n"
        "done = LocalTransport().run(['sh', '-c', 'yes | head -c 200000000'])\n"
        # Not ru_maxrss, which counts the process that this one was forked from.
        "words = Path('/proc/self/status').read_text().split()\n"
        "peak = int(words[words.index('VmHWM:') + 1]) // 1024\n"
        "print(done.dropped, len(done.stdout), peak)\n"
    )
    done = run_process([sys.executable, "-c", code], 120)
    dropped, kept, peak = map(int, done.stdout.split())
    assert kept == 2 * KEPT
    assert dropped == 200_000_000 - kept
    assert peak < 150


def test_no_zombies_after_many(tmp_path: Path) -> None:
    transport = LocalTransport()
    for _ in range(50):
        transport.run(["true"])
    assert "<defunct>" not in transport.run(["sh", "-c", "ps -ef | grep $PPID"]).stdout
