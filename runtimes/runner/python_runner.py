"""The runner for boards that have Python and an engine, and for Macs: one file, to be copied as it is.

Arguments, lines and exit codes are those of docs/runner.md, the same as the native runner's.  Needs
Python 3.8 or later, numpy, and ai_edge_litert, tflite_runtime, onnxruntime or coremltools.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO, NoReturn

PROTOCOL, RUNNER, CLOCK = 1, "python 1", "time.monotonic_ns"
EXIT_CODES = {
    "usage": 64,
    "engine": 65,
    "model": 66,
    "input": 67,
    "output": 68,
    "inference": 69,
    "memory": 70,
    "affinity": 71,
}
SEED, MASK = 0x9E3779B97F4A7C15, 2**64 - 1
ONNX_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
COREML_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
MOST_IN_A_LINE, LINE_NS, PROFILE_RUNS = 1000, 10**9, 20


class RunnerError(Exception):
    """A failure with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Lines:
    """JSON lines on standard output; what the engine prints there goes to standard error."""

    def __init__(self) -> None:
        try:
            self._out = os.dup(1)
            os.dup2(2, 1)
        except OSError:
            os._exit(EXIT_CODES["output"])

    def say(self, event: str, **values: Any) -> None:
        left = (json.dumps({"event": event, **values}) + "\n").encode("ascii")
        while left:
            try:
                left = left[os.write(self._out, left) :]
            except OSError:
                # Nobody reads any more, or the disk is full.
                os._exit(EXIT_CODES["output"])


class Tensor:
    """An input or output: name, numpy's name of its dtype, shape, bytes of one."""

    def __init__(self, name: str, dtype: str, shape: Sequence[Any]) -> None:
        import numpy as np

        self.name, self.dtype = name, dtype
        # Open dimensions become 1.
        self.shape = [side if isinstance(side, int) and side >= 0 else 1 for side in shape]
        try:
            self.bytes = int(np.prod(self.shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        except TypeError as error:
            raise RunnerError("model", f"tensor {name} is of type {dtype}") from error

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": self.shape, "bytes": self.bytes}


class LiteRT:
    """TFLite files with ai_edge_litert, or tflite_runtime where only that is installed."""

    def __init__(self) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter

            package = "ai-edge-litert"
        except ImportError:
            from tflite_runtime.interpreter import Interpreter

            package = "tflite-runtime"
        self._class, self.version = Interpreter, f"{package} {_version(package)}"

    def open(self, options: argparse.Namespace) -> None:
        self._interpreter = self._class(model_path=options.model, num_threads=options.threads)
        self._interpreter.allocate_tensors()
        wanted, given = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = [_detail(item) for item in wanted], [_detail(item) for item in given]
        self._input_indices = [item["index"] for item in wanted]
        self._output_indices = [item["index"] for item in given]
        self.run = self._interpreter.invoke

    def set_inputs(self, arrays: list[Any]) -> None:
        for index, array in zip(self._input_indices, arrays):
            self._interpreter.set_tensor(index, array)

    def get_outputs(self) -> list[Any]:
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def clear(self) -> None:
        """Nothing to release."""

    def share(self) -> dict[str, Any]:
        """What the delegate took, as the interpreter's list of operators shows it."""
        plan = self._interpreter._get_ops_details()
        operators = [node for node in plan if node["op_name"] != "DELEGATE"]
        producers = {int(out): node["index"] for node in operators for out in node["outputs"]}
        taken = set()
        for delegate in (node for node in plan if node["op_name"] == "DELEGATE"):
            # It lists its borders only: its operators lie between its outputs and its inputs.
            border = {int(tensor) for tensor in delegate["inputs"]}
            waiting = [int(tensor) for tensor in delegate["outputs"]]
            while waiting:
                tensor = waiting.pop()
                if tensor in border or tensor not in producers:
                    continue
                border.add(tensor)
                taken.add(producers[tensor])
                waiting += [int(source) for source in plan[producers[tensor]]["inputs"]]
        name = "XNNPACK" if taken else None
        return {"delegate": name, "nodes": len(operators), "delegated": len(taken)}

    def profile(self) -> list[dict[str, Any]] | None:
        """The interpreter tells no times."""
        return None


class OnnxRuntime:
    """ONNX files on the CPU."""

    def __init__(self) -> None:
        import onnxruntime

        self._module, self.version = onnxruntime, onnxruntime.__version__

    def _session(self, options: argparse.Namespace, profile: str | None = None) -> Any:
        wanted = self._module.SessionOptions()
        wanted.log_severity_level = 4
        wanted.intra_op_num_threads = options.threads
        # As on ARM: otherwise x86 computes int8 as uint8, which saturates, and sums as float.
        wanted.add_session_config_entry("session.qdqisint8allowed", "1")
        if profile:
            wanted.enable_profiling, wanted.profile_file_prefix = True, profile
        return self._module.InferenceSession(options.model, wanted, providers=["CPUExecutionProvider"])

    def open(self, options: argparse.Namespace) -> None:
        self._options, self._open = options, self._session(options)
        self.inputs, self.outputs = (
            [Tensor(item.name, ONNX_DTYPES.get(item.type, item.type[7:-1]), item.shape) for item in items]
            for items in (self._open.get_inputs(), self._open.get_outputs())
        )
        self._results: list[Any] = []

    def set_inputs(self, arrays: list[Any]) -> None:
        self._feeds = {tensor.name: array for tensor, array in zip(self.inputs, arrays)}

    def run(self) -> None:
        self._results = self._open.run(None, self._feeds)

    def get_outputs(self) -> list[Any]:
        return self._results

    def clear(self) -> None:
        self._results = []

    def share(self) -> dict[str, Any]:
        return {"delegate": None, "nodes": None, "delegated": None}

    def profile(self) -> list[dict[str, Any]] | None:
        session = self._session(self._options, self._options.model)
        for _ in range(PROFILE_RUNS + 1):
            session.run(None, self._feeds)
        path = session.end_profiling()
        with open(path, encoding="utf-8") as file:
            events = json.load(file)
        os.unlink(path)
        ops: dict[tuple[str, str], dict[str, Any]] = {}
        for event in events:
            name, kind = event.get("name", ""), event.get("args", {}).get("op_name", "")
            if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
                continue
            name = name[: -len("_kernel_time")]
            op = ops.get((name, kind))
            # The first call of each is a warm-up.
            ops[name, kind] = {
                "name": name,
                "kind": kind,
                "ns": op["ns"] + 1000 * event["dur"] if op else 0,
                "calls": op["calls"] + 1 if op else 0,
            }
        return list(ops.values())


class CoreML:
    """``.mlpackage`` and ``.mlmodel`` files on a Mac, on its CPU."""

    def __init__(self) -> None:
        if sys.platform != "darwin":
            raise RunnerError("engine", "Core ML runs on macOS only")
        import coremltools

        self._module: Any = coremltools
        self.version = f"coremltools {coremltools.__version__}"

    def open(self, options: argparse.Namespace) -> None:
        self._model = self._module.models.MLModel(
            options.model, compute_units=self._module.ComputeUnit.CPU_ONLY
        )
        description = self._model.get_spec().description
        self._images = {item.name for item in description.input if item.type.HasField("imageType")}
        self.inputs = [self._tensor(item) for item in description.input]
        self.outputs = [self._tensor(item) for item in description.output]

    def _tensor(self, item: Any) -> Tensor:
        if item.type.HasField("imageType"):
            return Tensor(item.name, "uint8", [item.type.imageType.height, item.type.imageType.width, 3])
        if not item.type.HasField("multiArrayType"):
            raise RunnerError("model", f"{item.name} is neither an array nor an image")
        array = item.type.multiArrayType
        return Tensor(item.name, COREML_DTYPES.get(array.dataType, "unknown"), list(array.shape))

    def set_inputs(self, arrays: list[Any]) -> None:
        self._feeds = {}
        for tensor, array in zip(self.inputs, arrays):
            if tensor.name in self._images:
                from PIL import Image

                array = Image.fromarray(array)
            self._feeds[tensor.name] = array

    def run(self) -> None:
        self._results = self._model.predict(self._feeds)

    def get_outputs(self) -> list[Any]:
        import numpy as np

        return [np.asarray(self._results[tensor.name], tensor.dtype) for tensor in self.outputs]

    def clear(self) -> None:
        self._results = {}

    def share(self) -> dict[str, Any]:
        return {"delegate": None, "nodes": None, "delegated": None}

    def profile(self) -> list[dict[str, Any]] | None:
        return None


ENGINES: dict[str, Any] = {"litert": LiteRT, "onnxruntime": OnnxRuntime, "coreml": CoreML}


class Run:
    """One launch, from open model to digest."""

    def __init__(self, lines: Lines, engine: Any, options: argparse.Namespace) -> None:
        self.lines, self.engine, self.options = lines, engine, options
        self.item_bytes = sum(tensor.bytes for tensor in engine.inputs)
        self.times: list[int] = []
        self.begins: list[int] = []

    def go(self, memory_before: int | None) -> None:
        options, digest, items = self.options, hashlib.sha256(), 0
        source = self._items()
        first_item = next(source)
        out = self._writable(options.outputs) if options.outputs else None
        self.engine.set_inputs(first_item)
        self.lines.say("first", ns=self.one()[1])
        first = self._outputs()
        items += 1
        self._keep(first, digest, out)
        if options.each:
            for item in source:
                self.engine.set_inputs(item)
                begin, ns = self.one()
                self.begins.append(begin)
                self.times.append(ns)
                self._print_if_due("samples")
                items += 1
                self._keep(self._outputs(), digest, out)
            self._print("samples")
        else:
            self.engine.clear()
            self.measure()
        self.lines.say("memory", before=memory_before, peak=memory_peak())
        self.engine.set_inputs(first_item)
        self.one()
        steady = self._outputs() == first
        if out:
            self._close(out)
        self.lines.say("outputs", items=items, sha256=digest.hexdigest(), steady=steady)
        try:
            ops = self.engine.profile() if options.profile else None
        except OSError as error:
            raise RunnerError("output", f"the profile: {_one_line(error)}") from error
        if ops is not None:
            self.lines.say("profile", ops=ops)

    def one(self) -> tuple[int, int]:
        """Begin and duration of an inference; nothing but the engine's own call is in between."""
        run, now = self.engine.run, time.monotonic_ns
        try:
            begin = now()
            run()
            end = now()
        except MemoryError:
            raise
        except Exception as error:
            raise RunnerError("inference", _one_line(error)) from error
        return begin, end - begin

    def measure(self) -> None:
        options, now = self.options, time.monotonic_ns
        start, runs = now(), 0
        while runs < options.warmup_runs or now() - start < options.warmup_seconds * 1e9:
            self._sample()
            self._print_if_due("warmup")
            runs += 1
        self._print("warmup")
        first, runs, period = self._sample(), 1, options.period_us * 1000
        while runs < options.min_runs or now() - first < options.min_seconds * 1e9:
            self._print_if_due("samples")
            begin = now()
            if period:
                # On the grid, leaving out what was missed.
                begin = first + ((begin - first) // period + 1) * period
            if options.max_seconds and begin - first > options.max_seconds * 1e9:
                break
            while period and now() < begin:
                time.sleep(max(0.0, (begin - now()) / 1e9))
            self._sample()
            runs += 1
        self._print("samples")

    def _sample(self) -> int:
        begin, ns = self.one()
        self.engine.clear()
        self.begins.append(begin)
        self.times.append(ns)
        return begin

    def _print_if_due(self, event: str) -> None:
        if len(self.times) == MOST_IN_A_LINE or time.monotonic_ns() - self.begins[0] >= LINE_NS:
            self._print(event)

    def _print(self, event: str) -> None:
        if not self.times:
            return
        if event == "samples":
            gaps = [after - before for before, after in zip(self.begins[:1] + self.begins, self.begins)]
            self.lines.say(event, start=self.begins[0], gaps=gaps, ns=self.times)
        else:
            self.lines.say(event, ns=self.times)
        self.times, self.begins = [], []

    def _items(self) -> Iterator[list[Any]]:
        """Arrays of each item of the packed file; one made-up item without it."""
        if not self.options.inputs:
            yield self._arrays(made_up(self.engine.inputs))
            return
        path = self.options.inputs
        try:
            size = os.path.getsize(path)
            if not os.path.isfile(path) or not size or not self.item_bytes or size % self.item_bytes:
                raise RunnerError(
                    "input", f"{path}: {size} bytes are no whole items of {self.item_bytes} bytes"
                )
            with open(path, "rb") as file:
                for _ in range(size // self.item_bytes):
                    raw = file.read(self.item_bytes)
                    if len(raw) != self.item_bytes:
                        raise RunnerError("input", f"{path}: the file became shorter")
                    yield self._arrays(raw)
        except OSError as error:
            raise RunnerError("input", f"{path} cannot be read: {error.strerror}") from error

    def _arrays(self, raw: bytes) -> list[Any]:
        import numpy as np

        arrays, at = [], 0
        for tensor in self.engine.inputs:
            part = np.frombuffer(raw[at : at + tensor.bytes], tensor.dtype)
            arrays.append(part.reshape(tensor.shape))
            at += tensor.bytes
        return arrays

    def _outputs(self) -> bytes:
        import numpy as np

        packed = []
        for tensor, array in zip(self.engine.outputs, self.engine.get_outputs()):
            raw = np.ascontiguousarray(array, np.dtype(tensor.dtype)).tobytes()
            if len(raw) != tensor.bytes:
                raise RunnerError(
                    "inference",
                    f"output {tensor.name} has {len(raw)} bytes, not the {tensor.bytes} of its shape",
                )
            packed.append(raw)
        return b"".join(packed)

    def _writable(self, path: str) -> BinaryIO:
        try:
            return open(path, "wb")
        except OSError as error:
            raise RunnerError("output", f"{path} cannot be written: {error.strerror}") from error

    def _keep(self, outputs: bytes, digest: Any, out: BinaryIO | None) -> None:
        digest.update(outputs)
        try:
            if out:
                out.write(outputs)
        except OSError as error:
            raise RunnerError(
                "output", f"{self.options.outputs} cannot be written: {error.strerror}"
            ) from error

    def _close(self, out: BinaryIO) -> None:
        try:
            out.close()
        except OSError as error:
            raise RunnerError(
                "output", f"{self.options.outputs} cannot be written: {error.strerror}"
            ) from error


def made_up(tensors: list[Tensor]) -> bytes:
    """One item of made-up inputs (docs/runner.md)."""
    import numpy as np

    state, parts = SEED, []

    def draw(count: int) -> list[int]:
        nonlocal state
        drawn = []
        for _ in range(count):
            state ^= state << 13 & MASK
            state ^= state >> 7
            state ^= state << 17 & MASK
            drawn.append(state)
        return drawn

    for tensor in tensors:
        dtype = np.dtype(tensor.dtype)
        count = tensor.bytes // dtype.itemsize
        if dtype.kind == "f":
            bits = {2: 11, 4: 24, 8: 53}[dtype.itemsize]
            values = [value >> (64 - bits) for value in draw(count)]
            parts.append((np.array(values, np.float64) / 2.0**bits).astype(dtype).tobytes())
        elif dtype.kind == "b":
            parts.append(bytes(value >> 63 for value in draw(count)))
        else:
            words = draw(-(-tensor.bytes // 8))
            parts.append(np.array(words, "<u8").tobytes()[: tensor.bytes])
    return b"".join(parts)


def memory_now() -> int | None:
    """Resident bytes; None: the system does not say."""
    return _from_status("VmRSS:")


def memory_peak() -> int | None:
    """Resident bytes at most; None: the system does not say."""
    found = _from_status("VmHWM:")
    if found is None:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        found = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


def _from_status(key: str) -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(key):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return None


class Parser(argparse.ArgumentParser):
    """Gives up instead of printing."""

    def error(self, message: str) -> NoReturn:
        raise RunnerError("usage", message)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        RunnerError: it is not understood.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--engine", required=True, choices=ENGINES)
    # Python finds its engine itself.
    parser.add_argument("--library")
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=_count(1, 1024), default=1)
    parser.add_argument("--affinity", type=_cores, default=[])
    parser.add_argument("--inputs")
    parser.add_argument("--outputs")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--warmup-runs", type=_count(0, 10**9), default=1)
    parser.add_argument("--warmup-seconds", type=_seconds, default=0.0)
    parser.add_argument("--min-runs", type=_count(1, 10**9), default=50)
    parser.add_argument("--min-seconds", type=_seconds, default=1.0)
    parser.add_argument("--max-seconds", type=_seconds, default=0.0)
    parser.add_argument("--period-us", type=_count(0, 10**9), default=0)
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args(words)


def _count(least: int, most: int) -> Callable[[str], int]:
    def count(word: str) -> int:
        value = int(word) if word.isdigit() and word.isascii() else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{word}: not a whole number between {least} and {most}")
        return value

    return count


def _seconds(word: str) -> float:
    value = float(word) if word[:1].isdigit() else -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{word}: not a number of seconds between 0 and 1000000")
    return value


def _cores(word: str) -> list[int]:
    count = _count(0, 1023)
    return [count(core) for core in word.split(",") if core] or [count(word)]


def _detail(item: dict[str, Any]) -> Tensor:
    import numpy as np

    return Tensor(item["name"], np.dtype(item["dtype"]).name, [int(side) for side in item["shape"]])


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def stay_on(cores: list[int]) -> None:
    """Before any thread is made: they inherit it."""
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
        missing = set(cores) - os.sched_getaffinity(0)
    except (AttributeError, OSError, ValueError) as error:
        raise RunnerError("affinity", f"these cores: {_one_line(error)}") from error
    if missing:
        raise RunnerError("affinity", f"core {min(missing)} is absent, offline or not allowed")


def work(lines: Lines, words: Sequence[str]) -> None:
    """Everything, in order.

    Raises:
        RunnerError: it cannot be done.
    """
    options = parse(words)
    stay_on(options.affinity)
    start = time.monotonic_ns()
    try:
        import numpy  # noqa: F401

        engine = ENGINES[options.engine]()
    except ImportError as error:
        raise RunnerError("engine", f"{options.engine} is not installed for Python: {error}") from error
    loaded = time.monotonic_ns() - start
    said = {"engine": options.engine, "engine_version": engine.version, "clock": CLOCK}
    lines.say("hello", protocol=PROTOCOL, runner=RUNNER, pid=os.getpid(), **said)
    lines.say("load", ns=loaded)
    before = memory_now()
    start = time.monotonic_ns()
    try:
        engine.open(options)
    except (RunnerError, MemoryError):
        raise
    except Exception as error:
        raise RunnerError("model", f"{options.model}: {_one_line(error)}") from error
    ready = time.monotonic_ns() - start
    inputs, outputs = ([tensor.plain() for tensor in side] for side in (engine.inputs, engine.outputs))
    lines.say("model", inputs=inputs, outputs=outputs, **engine.share())
    lines.say("init", ns=ready)
    Run(lines, engine, options).go(before)


def main(words: Sequence[str]) -> int:
    """Run, and return the exit code; the last line is said in any case."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    lines, code = Lines(), 0
    try:
        work(lines, words)
    except RunnerError as error:
        code = EXIT_CODES[error.code]
        lines.say("error", code=error.code, message=" ".join(str(error).split()))
    except MemoryError as error:
        code = EXIT_CODES["memory"]
        lines.say("error", code="memory", message=_one_line(error))
    except Exception as error:
        code = EXIT_CODES["inference"]
        lines.say("error", code="inference", message=_one_line(error))
    lines.say("end", exit_code=code)
    return code


if __name__ == "__main__":
    # What lies beside this file is not to be taken for a package.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]
    sys.exit(main(sys.argv[1:]))
