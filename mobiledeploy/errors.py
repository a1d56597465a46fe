"""Every error that a user may see, and the exit code that each one ends in.

A message is one line: what is wrong, where, and what to do next.  The command line prints it
without a traceback.  Exit code 2 is the command line parser's own (wrong usage); 1 is a defect in
mobiledeploy itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class MobileDeployError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: what is wrong, without a closing full stop.
        where: file, node, layer, device or command it is about.
        hint: what to do next, one sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what, where, hint)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes with all that they hold, whatever their constructors ask for."""
        return _revive, (type(self), self.args, self.__dict__)


def _revive(kind: type[MobileDeployError], args: tuple[Any, ...], held: dict[str, Any]) -> MobileDeployError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(held)
    return error


class InputError(MobileDeployError):
    """Something the user gave is missing, damaged or does not fit: exit code 3."""

    exit_code = 3


class UnsupportedError(MobileDeployError):
    """The input is sound, but this target or version cannot express it: exit code 4."""

    exit_code = 4


class VerificationError(MobileDeployError):
    """A written file does not do what its source does: exit code 5."""

    exit_code = 5


class EnvironmentProblem(MobileDeployError):  # noqa: N818 (EnvironmentError is Python's own)
    """A package, weight file or runtime that is needed is not on this machine: exit code 6."""

    exit_code = 6


class OutputError(MobileDeployError):
    """The result cannot be written (permission, full disk): exit code 7."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Refusal:
    """One operation that a target cannot express, and what to do about it.

    Attributes:
        node: name of the graph node.
        module: PyTorch module path that made it, for example ``features.3.conv.0``.
        op: ATen overload, for example ``aten.roll.default``.
        shape: shape of its first tensor input, empty if unknown.
        reason: why it is refused.
        next_step: what the user can do.
    """

    node: str
    module: str
    op: str
    shape: tuple[int, ...]
    reason: str
    next_step: str

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        place = self.module or self.node
        return f"{place}: {self.op} on {shape}: {self.reason}; {self.next_step}"


class RefusedError(UnsupportedError):
    """The whole table of refused operations at once: exit code 4.

    Attributes:
        refusals: every operation that the target cannot express, in graph order.
    """

    def __init__(self, refusals: tuple[Refusal, ...], *, where: str) -> None:
        self.refusals = refusals
        count = f"{len(refusals)} operation{'s' if len(refusals) > 1 else ''}"
        rows = "".join(f"\n  {refusal}" for refusal in refusals)
        super().__init__(f"{count} cannot be expressed{rows}", where=where)
