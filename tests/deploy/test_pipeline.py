"""Steps are done when they have to be, and only then; whatever happens to what is kept."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import quick_steps
from quick_steps import PLAN, Work, fill, run

from mobiledeploy.deploy.packages.plan import LISTING
from mobiledeploy.deploy.packages.writing import listing
from mobiledeploy.deploy.pipeline.cache import FOLDER
from mobiledeploy.deploy.pipeline.digests import Digests
from mobiledeploy.deploy.pipeline.execution import Result, worst_code
from mobiledeploy.deploy.pipeline.scheduling import next_steps
from mobiledeploy.deploy.pipeline.sealed import seal, unseal
from mobiledeploy.deploy.pipeline.starting import Came
from mobiledeploy.deploy.pipeline.step import Source, Step
from mobiledeploy.errors import InputError

NAMES = [step.name for step in PLAN]
LOST = {"message": "the device is gone", "exit_code": 8}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    fill(root)
    monkeypatch.chdir(root)
    return root


def states(results: tuple[Result, ...]) -> dict[str, str]:
    return {result.step: result.state for result in results}


def contents(folder: Path = Path("build")) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def done_again() -> list[str]:
    """Steps that a run does now."""
    work = Work()
    assert worst_code(run(work)) == 0
    return sorted(work.calls)


def test_the_second_run_does_nothing() -> None:
    assert set(states(run(Work())).values()) == {"done"}
    first = contents()
    assert len(first) == 22
    assert done_again() == []
    # What the user finds comes back without being made again.
    shutil.rmtree("build")
    assert done_again() == []
    Path("build/a").write_text("edited")
    assert done_again() == []
    assert contents() == first


def test_only_what_changed_is_done() -> None:
    run(Work())
    for path in (*Path("images").rglob("*"), Path("weights")):
        path.touch()
    assert done_again() == []
    # Of its images an output has nothing here: what comes after sees the same content.
    Path("images/class/new.png").write_bytes(b"1")
    assert done_again() == ["convert:b"]
    Path("images/class/new.png").unlink()
    assert done_again() == []
    Path("weights").write_text("other weights")
    assert done_again() == ["convert:a", "evaluate:a", "gate:b", "package:p"]
    work = Work()
    run(work, version="2")
    assert sorted(work.calls) == sorted(NAMES)


def test_a_change_that_hides_is_seen() -> None:
    """Same size, same time of change: as a program leaves a file that means to hide it, or a quick one."""
    run(Work())
    seen = Path("weights").stat()
    Path("weights").write_text("WEIGHTS")
    os.utime("weights", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert done_again() == ["convert:a"]


def test_digests_are_remembered_only_when_that_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (Path("weights"), *Path("images/class").iterdir()):
        os.utime(path, (1, 1))
    digests = Digests(Path("none"))
    first = digests.of(Path("images"))
    # The time of change of the inode cannot be set back: all of them are too young.
    assert digests.to_json() == {}
    late = time.time_ns() + 10 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: late)
    digests = Digests(Path("none"))
    assert digests.of(Path("images")) == first
    assert len(digests.to_json()) == 20
    Path("memory").write_text(seal(digests.to_json()))
    known = Digests(Path("memory"))
    monkeypatch.setattr(Path, "open", None)
    assert known.of(Path("images")) == first


def test_digests_of_folders() -> None:
    first = Digests(Path("none")).of(Path("images"))
    Path("images/.hidden").write_text("x")
    assert Digests(Path("none")).of(Path("images")) == first
    Path("images/empty").mkdir()
    assert Digests(Path("none")).of(Path("images")) != first
    Path("link").symlink_to("images")
    assert Digests(Path("none")).of(Path("link")) == Digests(Path("none")).of(Path("images"))
    code = Digests(Path("none")).of(Path(), code=True, without=Path("build"))
    Path("build").mkdir()
    Path("build/x.py").write_text("x")
    Path("y.txt").write_text("x")
    assert Digests(Path("none")).of(Path(), code=True, without=Path("build")) == code
    Path("x.py").write_text("x")
    assert Digests(Path("none")).of(Path(), code=True, without=Path("build")) != code
    with pytest.raises(InputError, match="absent: no such file or folder"):
        Digests(Path("none")).of(Path("absent"))
    Path("images/class/gone.png").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"gone\.png"):
        Digests(Path("none")).of(Path("images"))


def test_an_input_that_changes_while_it_is_read_gives_no_result() -> None:
    work = Work()
    work.during = lambda step: Path("weights").write_text("new") if step.name == "convert:a" else None
    results = {result.step: result for result in run(work)}
    assert results["convert:a"].state == "failed"
    assert "changed while it was read" in str(results["convert:a"].error)
    assert results["package:p"].state == "skipped"
    assert "convert:a" in done_again()


def every_kept_file() -> list[Path]:
    return sorted(path for path in (FOLDER / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "other"])
def test_a_damaged_cache_is_made_again(damage: str) -> None:
    run(Work())
    first, count = contents(), len(every_kept_file())
    for index in range(0, count, 5):
        path = every_kept_file()[index]
        content = path.read_bytes()
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "flip":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        elif damage == "gone":
            path.unlink()
        else:
            path.write_text(seal({"version": 1, "key": "another"}))
        shutil.rmtree("build")
        assert len(done_again()) == 1, path
        assert contents() == first
    assert done_again() == []


def test_other_damage_is_harmless() -> None:
    run(Work())
    (FOLDER / "digests.json").write_text("{}")
    (FOLDER / "latest.json").write_bytes(b"\xff\xfe")
    (FOLDER / "work" / "step-0" / "files").mkdir(parents=True)
    assert done_again() == []
    # A newer mobiledeploy keeps another kind of entry.
    for file in (FOLDER / "cache").glob("*/entry.json"):
        file.write_text(seal({**unseal(file), "version": 99}))
    assert len(done_again()) == len(PLAN)


def test_a_device_that_is_gone_loses_nothing_else() -> None:
    results = run(Work(benchmark=Came(error=LOST)))
    assert states(results) == {**dict.fromkeys(NAMES, "done"), "benchmark:d": "failed"}
    assert worst_code(results) == 8
    assert done_again() == ["benchmark:d"]


def test_a_red_gate_keeps_packages_back_and_is_not_rolled_again() -> None:
    run(Work())
    assert Path("build/packages/p").is_dir()
    Path("weights").write_text("worse")
    red = run(Work(gate=Came({"outcome": "fail"}, code=9)))
    assert states(red)["package:p"] == "skipped"
    assert worst_code(red) == 9
    # The package of the earlier weights would pass for one of these.
    assert not Path("build/packages/p").exists()
    work = Work()
    assert worst_code(run(work)) == 9
    assert work.calls == []
    assert worst_code(run(work, again=frozenset({"gate"}))) == 0
    assert work.calls == ["gate:b", "package:p"]


def test_what_is_inconclusive_is_tried_again() -> None:
    assert worst_code(run(Work(gate=Came({}, code=10, final=False)))) == 10
    assert done_again() == ["gate:b", "package:p"]


def test_a_package_that_somebody_edited_is_not_written_over() -> None:
    run(Work())
    package = Path("build/packages/p")
    kept = next((FOLDER / "cache").glob("*/files/folder"))
    for folder in (kept, package):
        (folder / LISTING).write_text(listing(folder))
    Path("weights").write_text("new")

    class Listing(Work):
        def __call__(self, step, inputs, folder, announce):  # type: ignore[no-untyped-def]
            came = super().__call__(step, inputs, folder, announce)
            if step.kind == "package":
                (folder / "folder" / LISTING).write_text(listing(folder / "folder"))
            return came

    (package / "below" / "0").write_text("edited")
    results = run(Listing())
    assert "were edited: below/0" in str(results[-1].error)
    assert (package / "below" / "0").read_text() == "edited"
    shutil.rmtree(package)
    assert worst_code(run(Listing())) == 0


def test_outputs_stay_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path("build").symlink_to(tmp_path / "elsewhere")
    results = run(Work())
    assert "a link leads out of the project" in str(results[0].error)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["", "cache", "work"])
def test_what_is_kept_is_no_link(tmp_path: Path, name: str) -> None:
    """Old entries are removed: through a link they would be somebody's files."""
    (tmp_path / "mine" / "work" / "precious").mkdir(parents=True)
    os.utime(tmp_path / "mine" / "work", (1, 1))
    link = FOLDER / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="this is a link"):
        run(Work())
    assert (tmp_path / "mine" / "work" / "precious").is_dir()


def test_results_that_nothing_used_for_long_go() -> None:
    run(Work())
    os.utime(next((FOLDER / "cache").iterdir()), (1, 1))
    assert len(done_again()) == 1
    assert done_again() == []


def test_a_missing_input_is_told_with_its_line_and_the_rest_is_done() -> None:
    plan = [replace(PLAN[0], sources={"weights": Source("gone", "deploy.toml, line 3")}), *PLAN[1:]]
    results = run(Work(), plan)
    assert str(results[0].error and results[0].error["message"]).startswith(
        "deploy.toml, line 3: gone: no such"
    )
    assert states(results)["convert:b"] == "done"
    assert worst_code(results) == 3


def test_scheduling() -> None:
    def computing(name: str) -> Step:
        return Step(f"evaluate:{name}", "evaluate", {})

    def measuring(name: str, kind: str, where: str = "") -> Step:
        return Step(name, "benchmark", {"address": {"kind": kind, "where": where}}, device=name)

    a, b, c = map(computing, "abc")
    local, phone, same, board = (
        measuring("local", "local"),
        measuring("phone", "adb", "1"),
        measuring("my phone", "adb", "1"),
        measuring("board", "ssh", "pi"),
    )
    assert next_steps([a, b, c], [], 2) == [a, b]
    assert next_steps([c], [a, b], 2) == []
    # A measurement waits for all that computes, and what computes for the measurements.
    assert next_steps([phone, a], [], 2) == [a]
    assert next_steps([phone], [a], 2) == []
    assert next_steps([a], [phone], 2) == []
    # Each device has one, and this machine no other beside it.
    assert next_steps([phone, same, board], [], 2) == [phone, board]
    assert next_steps([same, board], [phone], 2) == [board]
    assert next_steps([phone, local, board], [], 2) == [phone, board]
    assert next_steps([local], [phone], 2) == []
    assert next_steps([phone], [local], 2) == []
    assert next_steps([local, phone], [], 2) == [local]


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 0], 0), ([0, 10, 9], 9), ([8, 10], 8), ([9, 3], 3), ([3, 1], 1), ([5, 9, 6], 6)]
)
def test_worst_code(codes: list[int], worst: int) -> None:
    assert worst_code([Result("x", "done", code) for code in codes]) == worst


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of no length: most moments are those of keeping and publishing."""
    script = [sys.executable, quick_steps.__file__]
    begun = time.monotonic()
    assert subprocess.run(script, check=False).returncode == 0
    whole = time.monotonic() - begun
    expected = contents()
    generator = random.Random(7)  # noqa: S311
    broken = 0
    for number in range(20):
        root = tmp_path / str(number)
        root.mkdir()
        fill(root)
        process = subprocess.Popen(script, cwd=root)
        time.sleep(generator.uniform(0.4, 1.0) * whole)
        broken += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        monkeypatch.chdir(root)
        assert worst_code(run(Work())) == 0
        assert contents() == expected
        assert list((FOLDER / "work").iterdir()) == []
    assert broken > 5
