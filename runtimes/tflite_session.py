"""Run a TFLite file on this host with LiteRT, or with ``tflite_runtime`` where only that is installed."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import TensorSpec
from mobiledeploy.errors import EnvironmentProblem, InputError
from mobiledeploy.runtimes.census import FileContents
from mobiledeploy.runtimes.session import Session, check_inputs
from mobiledeploy.runtimes.tflite_file import read

if TYPE_CHECKING:
    import numpy as np

# What the engine raises for a file that it does not take.
_ENGINE_ERRORS = (ValueError, RuntimeError)
# Held while the process's standard error points elsewhere: two threads must not swap it at once.
_STDERR_LOCK = threading.Lock()


def open_session(path: Path, threads: int | None = None) -> Session:
    """Open a TFLite file on the CPU, with the engine's default XNNPACK delegate.

    Args:
        path: a ``.tflite`` file.
        threads: CPU threads; None for all cores that this process may use.

    Raises:
        InputError: the file is damaged, or the engine cannot run it.
        EnvironmentProblem: no TFLite engine is installed.
    """
    contents, interpreter, engine = _open(path, threads)
    return _TFLiteSession(str(path), engine, contents.inputs, contents.outputs, interpreter)


def delegated_share(path: Path) -> float:
    """Share of a file's operators, 0..1, that the XNNPACK delegate computes on this host.

    Raises:
        InputError, EnvironmentProblem: as ``open_session``.
    """
    _, interpreter, _ = _open(path, threads=1)
    plan = interpreter._get_ops_details()
    operators = [node for node in plan if node["op_name"] != "DELEGATE"]
    producers = {int(out): node["index"] for node in operators for out in node["outputs"]}
    taken: set[int] = set()
    for delegate in (node for node in plan if node["op_name"] == "DELEGATE"):
        # The delegate lists its borders only: its operators lie between its outputs and its inputs.
        border = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            if tensor in border or tensor not in producers:
                continue
            border.add(tensor)
            taken.add(producers[tensor])
            waiting += [int(source) for source in plan[producers[tensor]]["inputs"]]
    return len(taken) / len(operators) if operators else 0.0


def _open(path: Path, threads: int | None) -> tuple[FileContents, Any, str]:
    """The file's contents, an interpreter ready to run, and the engine's name."""
    if threads is not None and threads < 1:
        raise InputError(f"cannot run on {threads} threads", where=str(path), hint="Give 1 or more")
    contents = read(path)
    interpreter_class, engine = _engine()
    try:
        interpreter = interpreter_class(model_path=str(path), num_threads=threads or _usable_cores())
        with _quiet_engine():
            interpreter.allocate_tensors()
    except _ENGINE_ERRORS as error:
        raise InputError(
            f"{engine} cannot open it ({_one_line(error)})",
            where=str(path),
            hint=_next_step(contents),
        ) from error
    return contents, interpreter, engine


class _TFLiteSession:
    def __init__(
        self,
        where: str,
        engine: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        interpreter: Any,
    ) -> None:
        self.engine, self.inputs, self.outputs = engine, inputs, outputs
        self._where, self._interpreter = where, interpreter
        self._input_indices = [item["index"] for item in interpreter.get_input_details()]
        self._output_indices = [item["index"] for item in interpreter.get_output_details()]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; see ``Session.run``."""
        check_inputs(self.inputs, inputs, self._where)
        for index, array in zip(self._input_indices, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        try:
            self._interpreter.invoke()
        except _ENGINE_ERRORS as error:
            raise InputError(
                f"{self.engine} cannot run it ({_one_line(error)})", where=self._where
            ) from error
        return [self._interpreter.get_tensor(index) for index in self._output_indices]


def _engine() -> tuple[Any, str]:
    """The interpreter class at hand and its name with version."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, f"LiteRT {metadata.version('ai-edge-litert')}"
    except ImportError:
        pass
    try:
        from tflite_runtime.interpreter import Interpreter as RuntimeInterpreter

        return RuntimeInterpreter, f"tflite_runtime {metadata.version('tflite-runtime')}"
    except ImportError as error:
        raise EnvironmentProblem(
            "no TFLite engine is installed",
            hint="pip install ai-edge-litert (or tflite-runtime on an old board)",
        ) from error


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _next_step(contents: FileContents) -> str:
    custom = {op.kind.removeprefix("CUSTOM:") for op in contents.ops if op.kind.startswith("CUSTOM:")}
    if custom:
        return f"It uses {', '.join(sorted(custom))}: run it on an engine built with these operators"
    return "A newer ai-edge-litert may know its operators; else convert it again"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _quiet_engine() -> Iterator[None]:
    """Keep the engine's ``INFO:`` lines off standard error; everything else still gets there.

    The engine offers neither an option nor an environment variable for its log level, and writes to
    the file descriptor itself.  What arrives in the meantime is kept and passed on afterwards; only what
    another thread writes in the very instant of the swap can be lost.
    """
    with _STDERR_LOCK, ExitStack() as stack:
        try:
            saved = os.dup(2)
            stack.callback(os.close, saved)
            kept = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # no standard error, or no place to keep it
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            kept.seek(0)
            for line in kept:
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
