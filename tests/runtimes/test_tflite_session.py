"""TFLite files run on this host."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tflite_builder import G, N, T, build, float_dense

from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.tflite_session import delegated_share, open_session


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    path = tmp_path / "dense.tflite"
    path.write_bytes(float_dense())
    return path


def test_runs_a_file(dense: Path) -> None:
    session = open_session(dense)
    assert session.engine.startswith("LiteRT ")
    assert (session.inputs[0].name, session.outputs[0].shape) == ("x", (1, 3))
    x = np.array([[1, 2, 3, 4]], np.float32)
    (y,) = session.run([x])
    rows, columns = np.indices((3, 4))
    np.testing.assert_allclose(y, x @ (rows - columns).T + np.arange(3))


def test_outputs_belong_to_the_caller(dense: Path) -> None:
    session = open_session(dense, threads=1)
    (first,) = session.run([np.ones((1, 4), np.float32)])
    kept = first.copy()
    session.run([np.zeros((1, 4), np.float32)])
    np.testing.assert_array_equal(first, kept)


def test_inputs_and_outputs_in_the_files_order(tmp_path: Path) -> None:
    graph = G(
        [T("sum", (2,)), T("b", (2,)), T("difference", (2,)), T("a", (2,))],
        [N("SUB", ("a", "b"), ("difference",)), N("ADD", ("a", "b"), ("sum",))],
        ["b", "a"],
        ["sum", "difference"],
    )
    path = tmp_path / "two.tflite"
    path.write_bytes(build(graph))
    session = open_session(path)
    assert [spec.name for spec in session.inputs] == ["b", "a"]
    total, difference = session.run([np.float32([1, 2]), np.float32([10, 20])])
    np.testing.assert_array_equal(total, [11, 22])
    np.testing.assert_array_equal(difference, [9, 18])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], "takes 1 inputs, got 0"),
        ([np.zeros((1, 5), np.float32)], r"input 'x' is float32 \[1, 4\], got float32 \[1, 5\]"),
        ([np.zeros((1, 4), np.float64)], r"input 'x' is float32 \[1, 4\], got float64 \[1, 4\]"),
    ],
)
def test_arrays_that_do_not_fit(dense: Path, arrays: list[np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_session(dense).run(arrays)


def test_damaged_file(dense: Path) -> None:
    dense.write_bytes(dense.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"dense\.tflite"):
        open_session(dense)


def test_an_operator_that_the_engine_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    graph = G([T("x", (1,)), T("y", (1,))], [N("CUSTOM:Fancy", ("x",), ("y",))], ["x"], ["y"])
    path.write_bytes(build(graph))
    with pytest.raises(InputError, match=r"LiteRT .* cannot open it .*It uses Fancy") as raised:
        open_session(path)
    assert "\n" not in str(raised.value)


def test_a_thread_count_that_makes_no_sense(dense: Path) -> None:
    with pytest.raises(InputError, match="cannot run on 0 threads"):
        open_session(dense, threads=0)


def test_no_engine(dense: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(EnvironmentProblem, match="pip install ai-edge-litert"):
        open_session(dense)


def test_the_engines_chatter_stays_away_and_other_errors_do_not(dense: Path) -> None:
    """In a process of its own: the engine says it only once."""
    code = (
        "import os, sys, threading\n"
        "from pathlib import Path\n"
        "from mobiledeploy.runtimes.tflite_session import open_session\n"
        "stop = threading.Event()\n"
        "def talk():\n"
        "    while not stop.is_set():\n"
        "        os.write(2, b'line\\n'); lines.append(1)\n"
        "lines = []\n"
        "talker = threading.Thread(target=talk); talker.start()\n"
        "for _ in range(20): open_session(Path(sys.argv[1]))\n"
        "stop.set(); talker.join(); print(len(lines))\n"
        "print('the end', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, dense], capture_output=True, text=True, check=True)
    assert "INFO" not in done.stderr
    assert done.stderr.splitlines()[-1] == "the end"
    # What is written in the very instant of the swap may be lost.
    assert done.stderr.count("line\n") >= 0.99 * int(done.stdout)


def test_standard_error_survives_many_threads(dense: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads = [threading.Thread(target=open_session, args=(dense, 1)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"still here\n")
    assert capfd.readouterr().err.endswith("still here\n")


def test_without_a_standard_error(dense: Path) -> None:
    code = (
        "import os, sys; os.close(2); sys.stderr = None\n"
        "from pathlib import Path\n"
        "from mobiledeploy.runtimes.tflite_session import open_session\n"
        "print(open_session(Path(sys.argv[1])).outputs[0].name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, dense], capture_output=True, text=True, check=True)
    assert done.stdout == "y\n"


def test_share_of_the_delegate(tmp_path: Path, dense: Path) -> None:
    assert delegated_share(dense) == 1.0
    half = tmp_path / "half.tflite"
    graph = G(
        [T("x", (4,)), T("y", (4,)), T("z", (4,))],
        [N("ABS", ("x",), ("y",)), N("FLOOR_MOD", ("y", "x"), ("z",))],
        ["x"],
        ["z"],
    )
    half.write_bytes(build(graph))
    assert delegated_share(half) == 0.5


@pytest.mark.data
def test_google_quantized_v2_knows_a_goldfish(data_dir: Path) -> None:
    session = open_session(data_dir / "tflite" / "mobilenet_v2_1.0_224_quant.tflite")
    image = data_dir / "images" / "imagenet1k_sample_1000" / "n01443537_goldfish.jpg"
    pixels = np.asarray(Image.open(image).convert("RGB").resize((224, 224)))
    (scores,) = session.run([pixels[None]])
    assert (scores.dtype, scores.shape) == (np.uint8, (1, 1001))
    assert scores.argmax() == 2  # 0 is the background
