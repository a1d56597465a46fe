"""What can go wrong with a device: all of it ends in exit code 8."""

from __future__ import annotations

from mobiledeploy.errors import MobileDeployError

MESSAGE_LENGTH = 300


class DeviceError(MobileDeployError):
    """A device cannot be reached, refuses, or does not do what was asked: exit code 8."""

    exit_code = 8


class DeviceBusyError(DeviceError):
    """Another process uses the device."""


class InterruptedRun(DeviceError):  # noqa: N818
    """A command on the device did not come to its end.

    Args:
        what: what is wrong.
        where: the device.
        hint: what to do next.
        stdout: what the command had printed until then.
        stderr: the same for standard error.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", stdout: str = "", stderr: str = ""
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        super().__init__(what, where=where, hint=hint)


class DeviceTimeout(InterruptedRun):
    """The device answers, the command took too long; it was ended there, with all it had started."""


class DeviceLost(InterruptedRun):
    """The device vanished or no longer answers.

    What it had printed is in ``stdout`` and ``stderr``; a push or pull that it interrupted left the
    old file as it was.
    """


def one_line(text: str) -> str:
    """What a device or a program printed, fit for a message: one line, no terminal codes, cut."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    words = " ".join(plain.split())
    return words if len(words) <= MESSAGE_LENGTH else f"{words[:MESSAGE_LENGTH]}..."
