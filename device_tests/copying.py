"""Files to and from a device, whole or not at all.

A file is sent under a temporary name beside its final one, measured and digested there, by the
device, and only then renamed.  What does the sending need not be trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, one_line
from mobiledeploy.device_tests.transport import Completed
from mobiledeploy.errors import InputError, OutputError

Run = Callable[[Sequence[str], float], Completed]
# Sends or fetches; returns what the program complained of, empty if nothing.
Send = Callable[[Path, str, float], str]
Fetch = Callable[[str, Path, float], str]

PROBE_TIMEOUT = 10.0
PREFIX, SUFFIX = ".mobiledeploy-", ".part"
WRONG, IS_FOLDER, NO_TOOL, UNREADABLE = 65, 66, 67, 68

# Standard input -> its sha256 and another word, with whichever program there is.
DIGEST = "{ sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null"
# The same for what may be large: openssl starts slower, and uses the processor's own instructions.
FILE_DIGEST = "{ openssl dgst -sha256 -r || sha256sum || shasum -a 256; } 2>/dev/null"
# $1 a file -> its size and sha256.
_MEASURE = f"""
size=$(wc -c <"$1") || exit {UNREADABLE}
sum=$({FILE_DIGEST} <"$1") || exit {NO_TOOL}
echo $size ${{sum%% *}}
"""
# $1 temporary name, $2 final name, $3 mode, $4 "size sha256" to be met.
_SETTLE = f"""
[ ! -d "$2" ] || exit {IS_FOLDER}
found=$(sh -c "$5" sh "$1") || exit $?
[ "$found" = "$4" ] || {{ echo "$found"; exit {WRONG}; }}
chmod "$3" "$1" && mv -f "$1" "$2"
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """Size in bytes and sha256 of a file."""

    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.size} {self.sha256}"


def measure(path: Path) -> Measure:
    """Of a file on this host."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Measure(file.tell(), digest)


def push_verified(
    device: str, run: Run, send: Send, local: Path, remote: str, mode: int, timeout: float
) -> None:
    """Copy a file to a device (see ``Transport.push``).

    Args:
        device: its name, for messages.
        run: runs a command there.
        send: copies the bytes there, checked or not.
        local, remote, mode, timeout: as in ``Transport.push``.
    """
    _check_remote(remote)
    try:
        local = local.resolve(strict=True)
        wanted = measure(local)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(local), hint="Check the path"
        ) from error
    part = posixpath.join(posixpath.dirname(remote), f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    where = f"{device}: {one_line(remote)}"
    try:
        complaint = send(local, part, timeout)
        done = run(["sh", "-c", _SETTLE, "sh", part, remote, f"{mode:o}", str(wanted), _MEASURE], timeout)
        if done.exit_code:
            raise _push_error(done, wanted, where, complaint)
    except DeviceLost:
        raise
    except BaseException:
        with contextlib.suppress(DeviceError):
            run(["rm", "-f", part], PROBE_TIMEOUT)
        raise


def pull_verified(device: str, run: Run, fetch: Fetch, remote: str, local: Path, timeout: float) -> None:
    """Copy a file from a device (see ``Transport.pull``).

    Args:
        device: its name, for messages.
        run: runs a command there.
        fetch: copies the bytes from there, checked or not.
        remote, local, timeout: as in ``Transport.pull``.
    """
    _check_remote(remote)
    where = f"{device}: {one_line(remote)}"
    done = run(["sh", "-c", _MEASURE, "sh", remote], timeout)
    if done.exit_code:
        raise _read_error(done, where)
    part = local.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
    try:
        complaint = fetch(remote, part, timeout)
        got = str(measure(part)) if part.is_file() else "nothing"
        if got != done.stdout.strip():
            # If it is gone, that is what has to be said.
            run(["true"], PROBE_TIMEOUT)
            raise DeviceError(
                f"{_short(got)} arrived instead of {_short(done.stdout)}. {one_line(complaint)}".rstrip(". "),
                where=where,
                hint="It is being written to, or the connection is bad: try again",
            )
        part.replace(local)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", where=str(local), hint="Choose another folder"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _check_remote(remote: str) -> None:
    name = posixpath.basename(remote)
    if not posixpath.isabs(remote) or name in {"", ".", ".."} or "\0" in remote:
        raise InputError(
            f"{one_line(remote)!r} is no absolute path of a file on a device", hint="Start it with /"
        )


def _push_error(done: Completed, wanted: Measure, where: str, complaint: str) -> DeviceError:
    said = one_line(complaint) or one_line(done.stderr)
    if done.exit_code == IS_FOLDER:
        return DeviceError("is a folder", where=where, hint="Name the file to make in it")
    if done.exit_code == NO_TOOL:
        return _no_tool(where)
    full = "no space left" in f"{complaint} {done.stderr}".lower()
    if full:
        return DeviceError("no space left on the device", where=where, hint=f"{wanted.size} bytes are needed")
    if done.exit_code == WRONG:
        return DeviceError(
            f"{_short(done.stdout)} arrived instead of {_short(str(wanted))}. {said}".rstrip(". "),
            where=where,
            hint="The file changed meanwhile, or the connection is bad: try again",
        )
    return DeviceError(
        f"cannot be written ({said})",
        where=where,
        hint="Check that its folder is there and may be written to",
    )


def _read_error(done: Completed, where: str) -> DeviceError:
    if done.exit_code == NO_TOOL:
        return _no_tool(where)
    return DeviceError(f"cannot be read ({one_line(done.stderr)})", where=where, hint="Check the path")


def _no_tool(where: str) -> DeviceError:
    return DeviceError(
        "the device has no sha256sum, shasum or openssl to check a copy with",
        where=where,
        hint="Install one of them there",
    )


def _short(measured: str) -> str:
    size, _, digest = measured.strip().partition(" ")
    return f"{size} bytes (sha256 {digest[:12]})" if digest else "nothing"
