"""A command in a device's own shell, through a program (adb, ssh) that starts that shell.

Neither program can be trusted with the end of a command: adb returns 0 when the device vanishes,
ssh's 255 may be the command's own.  So the device's shell itself prints a token, made for this one
run, before the command, and the same token with the command's exit code after it.

The script goes to the shell's standard input.  On the command line of the login shell, whichever
that is, stands nothing but a constant and the token.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, DeviceTimeout, one_line
from mobiledeploy.device_tests.processes import Finished, run_process
from mobiledeploy.device_tests.transport import Completed
from mobiledeploy.errors import InputError

# Set for the command and all it starts, so that they can be found again.
VARIABLE = "MOBILEDEPLOY_RUN"
STOP_TIMEOUT = 10.0
LONGEST_ARGUMENT = 100_000


class Link(Protocol):
    """What differs between the programs that lead to a device's shell."""

    @property
    def name(self) -> str:
        """The device."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the program."""
        ...

    def shell(self, command: str) -> list[str]:
        """The program and its arguments that give ``command`` to the device's shell."""
        ...

    def explain(self, complaint: str) -> DeviceError:
        """What the program's own complaint means, if no command came to its end."""
        ...


def run_in_shell(link: Link, argv: Sequence[str], timeout: float) -> Completed:
    """Run a command to its end in the device's shell (see ``Transport.run``)."""
    token = secrets.token_hex(8)
    script = _script(checked(argv), token)
    command = f"exec env {VARIABLE}={token} sh -s"
    try:
        finished = run_process(link.shell(command), timeout, feed=script, environment=link.environment)
    except KeyboardInterrupt:
        _stop(link, token, None)
        raise
    heard = _read(finished, token)
    if heard.exit_code is not None:
        return Completed(heard.exit_code, heard.stdout, heard.stderr, finished.dropped)
    if finished.exit_code is not None:
        raise _cut_off(link, finished.stderr.decode(errors="replace"), heard)
    if not _stop(link, token, heard.group):
        raise DeviceLost(
            f"no answer within {timeout:g} s, nor to the order to stop",
            where=link.name,
            hint="Check its cable or network, or restart it",
            stdout=heard.stdout,
            stderr=heard.stderr,
        )
    raise DeviceTimeout(
        f"{one_line(argv[0])} took longer than {timeout:g} s and was ended",
        where=link.name,
        hint="Allow it more time, or see what keeps the device busy",
        stdout=heard.stdout,
        stderr=heard.stderr,
    )


def checked(argv: Sequence[str]) -> Sequence[str]:
    """The arguments, if a program can be started with them.

    Raises:
        InputError: there are none, one holds a NUL or is too long, or the program looks like an option.
    """
    if not argv or not argv[0] or argv[0].startswith("-"):
        raise InputError(
            f"{one_line(argv[0]) if argv else 'nothing'!r} is no program",
            hint="Give a name or an absolute path",
        )
    for argument in argv:
        if "\0" in argument:
            raise InputError(f"an argument holds a NUL character: {one_line(argument)}", hint="Remove it")
        if len(argument.encode(errors="surrogateescape")) > LONGEST_ARGUMENT:
            raise InputError(
                f"an argument is longer than {LONGEST_ARGUMENT} bytes", hint="Push it as a file instead"
            )
    return argv


def armoured(script: str) -> str:
    """A script as a command that means the same to every login shell, fish and csh among them."""
    octal = "".join(f"\\0{byte:03o}" for byte in script.encode(errors="surrogateescape"))
    return f'exec sh -c \'eval "$(printf %b "{octal}")"\''


def _script(argv: Sequence[str], token: str) -> bytes:
    # In braces: a script that was cut on its way is a syntax error and nothing of it runs.
    words = " ".join(shlex.quote(word) for word in argv)
    return (
        "{\n"
        f"printf '%s %d\\n' {token} $$\n"
        f"( exec {words} </dev/null )\n"
        f"printf '\\n%s %d\\n' {token} $?\n"
        "exit 0\n}\n"
    ).encode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class _Heard:
    group: int | None
    exit_code: int | None
    stdout: str
    stderr: str


def _read(finished: Finished, token: str) -> _Heard:
    mark = re.escape(token.encode())
    begin = re.search(rb"%s (\d+)\r?\n" % mark, finished.stdout)
    if begin is None:
        return _Heard(None, None, "", _text(finished.stderr))
    rest = finished.stdout[begin.end() :]
    end = re.search(rb"\r?\n%s (\d+)\r?\n" % mark, rest)
    output = rest[: end.start()] if end else rest
    return _Heard(int(begin[1]), int(end[1]) if end else None, _text(output), _text(finished.stderr))


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _cut_off(link: Link, complaint: str, heard: _Heard) -> DeviceError:
    if heard.group is None:
        return link.explain(complaint)
    # The command began, so most of this is its own standard error: only the end can be the program's.
    error = link.explain((complaint.strip().splitlines() or [""])[-1])
    return DeviceLost(
        error.what if isinstance(error, DeviceLost) else "the device was lost",
        where=error.where,
        hint=error.hint if isinstance(error, DeviceLost) else "Check its cable or network",
        stdout=heard.stdout,
        stderr=heard.stderr,
    )


def _stop(link: Link, token: str, group: int | None) -> bool:
    """End a command and all it has started; False if the device does not answer."""
    by_group = f"kill -$signal -- -{group} 2>/dev/null\n" if group else ""
    # The group is not always the command's own (dropbear's is the whole connection's, which the
    # shell's process id does not name); what carries the variable is.
    script = (
        "{\n"
        "for signal in TERM KILL; do\n"
        f"{by_group}"
        f"for file in $(grep -l {VARIABLE}={token} /proc/[0-9]*/environ 2>/dev/null); do\n"
        "file=${file#/proc/}\n"
        "kill -$signal ${file%/environ} 2>/dev/null\n"
        "done\n"
        "[ $signal = KILL ] || sleep 0.3 2>/dev/null || sleep 1\n"
        "done\n"
        f"echo {token}\n"
        "exit 0\n}\n"
    )
    finished = run_process(
        link.shell("exec sh -s"), STOP_TIMEOUT, feed=script.encode(), environment=link.environment
    )
    return token.encode() in finished.stdout
