"""Read state dicts from files that may be anything, and put them into modules."""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobiledeploy.errors import EnvironmentProblem, InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

How = Literal["by name", "by order and shape"]

# Keys under which training scripts put the weights beside optimizer state and counters.
WRAPPERS = ("state_dict", "model_state_dict", "model")
# Globals that the pickle of an ordinary state dict names.
STATE_DICT_NAME = re.compile(
    r"collections\.OrderedDict|torch\.(\w+|_utils\.\w+|_tensor\.\w+|storage\.\w+|nn\.parameter\.\w+)"
)
ROLES = frozenset({"weight", "bias", "running_mean", "running_var"})
WEIGHTS_ONLY_HINT = "Save the weights alone: torch.save(model.state_dict(), path)"
# What the readers of torch and safetensors raise on damaged bytes.
DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    OverflowError,
)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a readable file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_readable(path: Path) -> None:
    """Raise an ``InputError`` unless the path is a file that can be opened."""
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), hint="Check the path")
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})", where=str(path), hint="Check its permissions"
        ) from error


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Weights by name from a ``.pth``, ``.pt`` or ``.safetensors`` file.

    A dict wrapped as ``{"state_dict": ...}`` or ``{"model": ...}`` is unwrapped, a ``module.`` prefix
    (of ``DataParallel``) removed and ``num_batches_tracked`` left out.  Nothing in the file is run.

    Raises:
        InputError: the file is missing, damaged, holds other objects than weights, or is no state dict.
        EnvironmentProblem: a ``.safetensors`` file without the package that reads it.
    """
    require_readable(path)
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    return _state_dict(loaded, where=str(path))


def load_into(module: nn.Module, state: Mapping[str, torch.Tensor], *, where: str = "checkpoint") -> How:
    """Copy weights into a module: by name, else by order and shape.

    If the checkpoint's batch norms are folded into biases, the module's are removed first:

        conv -> batch norm -> activation     becomes     conv (with bias) -> activation

    By order and shape, every tensor must also have the same last name (``weight``, ``bias``,
    ``running_mean``, ``running_var``) where the checkpoint uses these.

    Returns:
        Which of the two it was.

    Raises:
        InputError: the first key and shape that differ.
    """
    if not any(key.endswith("running_mean") for key in state):
        remove_batch_norms(module)
    own, state = _without_counters(module.state_dict()), _without_counters(state)
    mismatch = _first_difference(own, state)
    if mismatch is None:
        how: How = "by name"
        matched = state
    elif _same_order(own, state):
        how = "by order and shape"
        matched = dict(zip(own, state.values(), strict=True))
    else:
        raise InputError(mismatch, where=where, hint="Choose the architecture and --width of the checkpoint")
    module.load_state_dict(matched, strict=False)
    return how


def load_file(module: nn.Module, path: Path) -> tuple[str, str]:
    """``read_state_dict``, then ``load_into``.

    Returns:
        What provenance says of the file (see ``describe``), and its sha256.
    """
    how = load_into(module, read_state_dict(path), where=str(path))
    return describe(path, how), sha256(path)


def describe(path: Path, how: How) -> str:
    """A weights file's name; says so if its tensors were not matched by name."""
    return path.name if how == "by name" else f"{path.name} (loaded {how})"


def remove_batch_norms(module: nn.Module) -> None:
    """Replace each batch norm that follows a convolution by a bias of that convolution.

        conv -> batch norm     becomes     conv (zero bias) -> identity

    For checkpoints whose batch norms are already folded; the biases are to be loaded next.
    """
    import torch
    from torch import nn

    previous: nn.Module | None = None
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            previous.bias = nn.Parameter(torch.zeros(layer.num_features))
            module.set_submodule(name, nn.Identity())
        previous = layer


def _safetensors(path: Path) -> object:
    with needs_safetensors(path):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    try:
        return load_file(path)
    except (SafetensorError, OSError, *DAMAGE) as error:
        raise damaged(path) from error


def load_pickle(source: Path | io.BytesIO) -> object:
    """``torch.load`` of data alone: raises one of ``DAMAGE`` at anything that would run code."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch comments on pickle protocols before it refuses a file
        return torch.load(source, map_location="cpu", weights_only=True)  # noqa: TID251


def _pickled(path: Path) -> object:
    try:
        return load_pickle(path)
    except (OSError, *DAMAGE) as error:
        foreign = _foreign_object(path)
        if foreign is None:
            raise damaged(path) from error
        raise InputError(
            f"it holds more than weights (pickled code or object: {foreign}) and was not run",
            where=str(path),
            hint=WEIGHTS_ONLY_HINT,
        ) from error


@contextmanager
def needs_safetensors(path: Path) -> Iterator[None]:
    """A missing package becomes an ``EnvironmentProblem`` about a file."""
    try:
        yield
    except ImportError as error:
        raise EnvironmentProblem(
            ".safetensors files need a package that is not installed",
            where=str(path),
            hint="pip install safetensors",
        ) from error


def damaged(path: Path) -> InputError:
    """The error about a weights file that cannot be read."""
    return InputError(
        "it is no PyTorch or safetensors weights file, or it is truncated or damaged",
        where=str(path),
        hint="Download or copy it again",
    )


def _foreign_object(path: Path) -> str | None:
    """First class or function that a file's pickle names and that is no part of a state dict.

    The pickle is disassembled, never run.  None if there is no such name, or no pickle at all.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/code/" in name for name in names):
                return "TorchScript program"
            data = b"".join(archive.read(name) for name in names if name.endswith("/data.pkl"))
    except zipfile.BadZipFile:
        data = path.read_bytes()
    except (zlib.error, *DAMAGE):
        return None
    for name in _pickled_names(io.BytesIO(data)):
        if not STATE_DICT_NAME.fullmatch(name):
            return name
    return None


def _pickled_names(stream: io.BytesIO) -> Iterator[str]:
    """``module.name`` of every global in a row of pickles, up to the first byte that is no pickle."""
    strings: list[str] = []
    try:
        while True:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in {"GLOBAL", "INST"}:
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(strings[-2:])
                elif isinstance(argument, str):
                    strings.append(argument)
    except (ValueError, UnicodeDecodeError):
        return


def _state_dict(loaded: object, *, where: str) -> dict[str, torch.Tensor]:
    import torch

    for key in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    tensors = loaded if isinstance(loaded, Mapping) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise InputError("it is no state dict (names with tensors)", where=where, hint=WEIGHTS_ONLY_HINT)
    names = [str(name) for name in tensors]
    if all(name.startswith("module.") for name in names):
        names = [name.removeprefix("module.") for name in names]
    return _without_counters(dict(zip(names, tensors.values(), strict=True)))


def _without_counters(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _first_difference(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str | None:
    for key, value in own.items():
        if key not in state:
            return f"{key} ({_shape(value)}) is in the model and not in the checkpoint"
        if state[key].shape != value.shape:
            there, here = _shape(state[key]), _shape(value)
            return f"{key} has shape {there} in the checkpoint and {here} in the model"
    for key, value in state.items():
        if key not in own:
            return f"{key} ({_shape(value)}) is in the checkpoint and not in the model"
    return None


def _same_order(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> bool:
    def fits(ours: str, theirs: str) -> bool:
        role = theirs.rpartition(".")[2]
        return own[ours].shape == state[theirs].shape and (
            role not in ROLES or role == ours.rpartition(".")[2]
        )

    return len(own) == len(state) and all(fits(*pair) for pair in zip(own, state, strict=True))


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
