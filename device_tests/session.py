"""A folder on the device that belongs to one process of one host, and is gone when that is done.

The folder is the lock: ``mkdir`` succeeds once, for whichever host.  Whoever finds one that was left
behind (its process is dead, the device was restarted, nobody has used it for a while) ends what
still runs of it, puts back what it had changed, and takes its place.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import posixpath
import re
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

from mobiledeploy.device_tests.conditions import utc_now
from mobiledeploy.device_tests.copying import FILE_DIGEST, measure
from mobiledeploy.device_tests.errors import DeviceBusyError, DeviceError, DeviceLost, one_line
from mobiledeploy.device_tests.folder import work_folder
from mobiledeploy.device_tests.references import Device
from mobiledeploy.device_tests.transport import COPY_TIMEOUT, RUN_TIMEOUT, Completed, Transport

# Longer than any launch may take.
STALE_MINUTES = 30
# A device that was lost may be back by the end; there is nothing more to be had from it.
LEAVE_TIMEOUT = 10.0
# Set for what a session starts, so that it can be ended when the session is gone.
VARIABLE = "MOBILEDEPLOY_SESSION"
KEPT_FILES = 8
# Of its sha256, in the name of a file.
DIGITS = 24
_PLACED = rf"/(store|session)/[0-9a-f]{{{DIGITS}}}(\.\w+)?$"
TAKEN, GONE = 75, 76
# Restores governors that ``launch.py`` had saved, in the folder $1.
PUT_BACK = """
give_back() { while read -r file old; do echo "$old" 2>/dev/null >"$file"; done; }
put_back() {
    [ -f "$1/governors" ] || return 0
    give_back <"$1/governors"
    rm -f "$1/governors"
}
"""
_BOOT = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.bootsessionuuid 2>/dev/null"
# $1 work folder, $2 owner.  Ends in TAKEN, and says by whom, where the folder is someone else's.
_ENTER = f"""
umask 077
mkdir -p "$1/store" || exit 1
if mkdir "$1/session" 2>/dev/null; then
    rm -f "$1"/store/.mobiledeploy-*.part
    : >"$1/session/beat"
    boot=$({_BOOT})
    printf '%s' "$boot" >"$1/session/boot" && printf '%s' "$2" >"$1/session/owner"
    exit
fi
[ -d "$1/session" ] || exit 1
cat "$1/session/owner" 2>/dev/null
echo
[ "$(cat "$1/session/boot" 2>/dev/null)" = "$({_BOOT})" ] && echo same boot
beat=$1/session/beat
[ -f "$beat" ] || beat=$1/session
[ -n "$(find "$beat" -prune -mmin +{STALE_MINUTES} 2>/dev/null)" ] && echo old
exit {TAKEN}
"""
# $1 work folder, $2 token of the session that ends, $3 "same boot" or nothing, $4 "keep" or nothing.
_EVICT = f"""{PUT_BACK}
if [ -n "$3" ]; then
    for file in $(grep -l "{VARIABLE}=$2" /proc/[0-9]*/environ 2>/dev/null); do
        file=${{file#/proc/}}
        kill -KILL ${{file%/environ}} 2>/dev/null
    done
    put_back "$1/session"
fi
[ -n "$4" ] || rm -rf "$1/session"
"""
# $1 work folder, $2 owner: of somebody else's nothing is touched.
_LEAVE = f"""{PUT_BACK}
[ "$(cat "$1/session/owner" 2>/dev/null)" = "$2" ] || exit 0
put_back "$1/session"
rm -rf "$1/session" "$1"/store/.mobiledeploy-*.part
ls -t "$1/store" | tail -n +{KEPT_FILES + 1} | while read -r name; do rm -f "$1/store/$name"; done
"""
# $1 work folder, which may be one that the user named and keeps other things in.
_CLEAN = 'rm -rf "$1/store" && { rmdir "$1" 2>/dev/null || true; }'
# $1 session's folder, $2 its token, then the program.  ssh dials again without a word, and what it
# finds may be the device restarted, or somebody else's session.
_RUN = f"""
{{ read -r owner <"$1/owner"; }} 2>/dev/null
case $owner in *"$2"*) ;; *) echo "$2 is gone" >&2; exit {GONE} ;; esac
: >"$1/beat"
export {VARIABLE}="$2"
shift 2
exec "$@"
"""
# $@: files -> the sha256 of each, or an empty line.
_DIGESTS = f'for file in "$@"; do sum=$({FILE_DIGEST} <"$file"); echo "${{sum%% *}}"; done'
# $1 a file, $2 its sha256.
_HAS = f"""
[ -f "$1" ] || exit 1
sum=$({FILE_DIGEST} <"$1") || exit 1
[ "${{sum%% *}}" = "$2" ] && touch "$1"
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose session it is; the token tells it from every other."""

    user: str
    host: str
    pid: int
    since: str
    purpose: str
    token: str

    @property
    def line(self) -> str:
        """As it stands on the device."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        return one_line(f"{self.user}@{self.host}, process {self.pid} for {self.purpose}, since {self.since}")


@dataclass(frozen=True, slots=True)
class Session:
    """A device and this process's folder on it.

    Attributes:
        device: connected and locked on this host.
        work: folder that stays; what is in its ``store`` goes by the digest of its content.
        owner: this process.
    """

    device: Device
    work: str
    owner: Holder

    @property
    def transport(self) -> Transport:
        """The way to the device."""
        return self.device.transport

    @property
    def folder(self) -> str:
        """Absolute path on the device; all of it is removed at the end."""
        return posixpath.join(self.work, "session")

    def run(self, argv: Sequence[str], timeout: float = RUN_TIMEOUT) -> Completed:
        """See ``Transport.run``; tells other hosts that this session is alive.

        Raises:
            DeviceLost: or the session's folder is gone, as after a restart.
        """
        token = self.owner.token
        done = self.transport.run(["sh", "-c", _RUN, "sh", self.folder, token, *argv], timeout)
        if done.exit_code == GONE and f"{token} is gone" in done.stderr:
            raise DeviceLost(
                "its folder for this session is gone",
                where=self.transport.name,
                hint="Was it restarted? Otherwise see what else works there",
            )
        return done

    def place(self, local: Path, mode: int = 0o600, *, keep: bool = False) -> str:
        """Have a file on the device; it is sent only if the device has not that very content.

        Args:
            local: a file of this host.
            mode: its permissions there.
            keep: leave it there for the next session.

        Returns:
            Its path on the device.

        Raises:
            DeviceError: there is no space, or it cannot be written.
        """
        name = f"{measure(local).sha256[:DIGITS]}{_suffix(local)}"
        return self._send(local, posixpath.join(self.work, "store" if keep else "session", name), mode)

    def send(self, local: Path) -> str:
        """Put a file of this session on the device, under its own name, whatever is there.

        Args:
            local: a file of this host, whose name is ours.

        Returns:
            Its path on the device.

        Raises:
            DeviceError: as ``place``.
        """
        remote = posixpath.join(self.folder, local.name)
        self.transport.push(local, remote, 0o600, COPY_TIMEOUT)
        return remote

    def place_tree(self, local: Path, name: str) -> str:
        """Have a folder on the device, until the session ends.

        Args:
            local: a folder of this host.
            name: of the folder there; the same name for the same content.

        Returns:
            Its path on the device, which ends like the local one; ``check`` does not look into it.

        Raises:
            DeviceError: as ``place``.
        """
        root = posixpath.join(self.folder, f"tree-{name}{_suffix(local)}")
        for file in sorted(path for path in local.rglob("*") if path.is_file()):
            remote = posixpath.join(root, file.relative_to(local).as_posix())
            self.transport.run(["mkdir", "-p", posixpath.dirname(remote)])
            self._send(file, remote, 0o600)
        return root

    def check(self, words: Sequence[str]) -> None:
        """The files that these words name by their digest are still what they were.

        Args:
            words: arguments of a program on the device.

        Raises:
            DeviceError: a file there has changed or is gone.
        """
        matches = (re.search(re.escape(self.work) + _PLACED, word) for word in words)
        files = [match[0] for match in matches if match]
        done = self.run(["sh", "-c", _DIGESTS, "sh", *files], COPY_TIMEOUT)
        for file, found in zip_longest(files, done.stdout.splitlines(), fillvalue=""):
            if not found.startswith(posixpath.basename(file)[:DIGITS]):
                raise DeviceError(
                    "a file on the device was changed while it was in use",
                    where=f"{self.transport.name}: {file}",
                    hint="See what else works in that folder, or check its storage; then try again",
                )

    def _send(self, local: Path, remote: str, mode: int) -> str:
        done = self.transport.run(["sh", "-c", _HAS, "sh", remote, measure(local).sha256], COPY_TIMEOUT)
        if done.exit_code:
            self.transport.push(local, remote, mode, COPY_TIMEOUT)
        return remote

    def resume(self, timeout: float) -> None:
        """After ``DeviceLost``: reach the device again and have the folder again, empty if it restarted.

        What this session had begun there is ended: a runner does not notice that nobody listens.

        Raises:
            DeviceError: it is not back in time, or another host has taken it.
        """
        self.transport.reconnect(timeout)
        _enter(self.transport, self.work, self.owner)
        _evict(self.transport, self.work, self.owner.token, same_boot=True, keep=True)

    def put_back(self) -> None:
        """Give cores the governors back that a launch had found, if it did not come to that.

        Raises:
            DeviceError: the device was lost.
        """
        self.transport.run(["sh", "-c", f'{PUT_BACK}put_back "$1"', "sh", self.folder], RUN_TIMEOUT)


@contextmanager
def open_session(device: Device, purpose: str) -> Iterator[Session]:
    """Take a device for this process, on the device itself.

    Args:
        device: connected and locked on this host.
        purpose: for those on other hosts who want it meanwhile.

    Raises:
        DeviceBusyError: another host uses it.
        DeviceError: there is no folder to work in.
    """
    work = work_folder(device.transport, device.folder)
    owner = Holder(_user(), socket.gethostname(), os.getpid(), utc_now(), purpose, secrets.token_hex(8))
    try:
        _enter(device.transport, work, owner)
        yield Session(device, work, owner)
    finally:
        # A device that stays lost keeps the folder; the next session clears it.
        with contextlib.suppress(DeviceError):
            _leave(device.transport, work, owner)


def clean(device: Device) -> str:
    """Remove everything that sessions have put on a device.

    Args:
        device: connected and locked on this host.

    Returns:
        The folder; what else was in it stays.

    Raises:
        DeviceBusyError: another host uses it.
        DeviceError: there is no such folder, or it cannot be removed.
    """
    with open_session(device, "clean") as session:
        work = session.work
    done = device.transport.run(["sh", "-c", _CLEAN, "sh", work], RUN_TIMEOUT)
    if done.exit_code:
        raise DeviceError(
            f"cannot be removed ({one_line(done.stderr)})",
            where=f"{device.transport.name}: {work}",
            hint="Remove it by hand",
        )
    return work


def _enter(transport: Transport, work: str, owner: Holder) -> None:
    for last_try in (False, True):
        done = transport.run(["sh", "-c", _ENTER, "sh", work, owner.line], RUN_TIMEOUT)
        if done.exit_code == 0:
            return
        if done.exit_code != TAKEN:
            raise DeviceError(
                f"no session can be begun ({one_line(done.stderr)})",
                where=f"{transport.name}: {work}",
                hint="Free some space there, or name another folder in devices.toml",
            )
        written, *signs = done.stdout.splitlines() or [""]
        holder, same_boot = _parse(written), "same boot" in signs
        if holder == owner and same_boot:
            return
        if last_try or (same_boot and "old" not in signs and _alive(holder)):
            raise DeviceBusyError(
                f"in use by {holder or 'another process'}",
                where=transport.name,
                hint=f"Wait until that is done; it is taken over {STALE_MINUTES} minutes after its last sign",
            )
        token = holder.token if holder else "unknown"
        _evict(transport, work, token, same_boot=same_boot)


def _evict(transport: Transport, work: str, token: str, *, same_boot: bool, keep: bool = False) -> None:
    signs = ["same boot" if same_boot else "", "keep" if keep else ""]
    transport.run(["sh", "-c", _EVICT, "sh", work, token, *signs], RUN_TIMEOUT)


def _leave(transport: Transport, work: str, owner: Holder) -> None:
    argv = ["sh", "-c", _LEAVE, "sh", work, owner.line]
    try:
        transport.run(argv, RUN_TIMEOUT)
    except DeviceLost:
        transport.reconnect(LEAVE_TIMEOUT)
        transport.run(argv, RUN_TIMEOUT)


def _suffix(path: Path) -> str:
    """The engines tell formats by the end of the name; nothing else of a name leaves this host."""
    return path.suffix if path.suffix[1:].isalnum() and path.suffix.isascii() else ""


def _parse(text: str) -> Holder | None:
    try:
        holder = Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None
    return holder if re.fullmatch(r"[0-9a-f]{16}", str(holder.token)) else None


def _alive(holder: Holder | None) -> bool:
    """Whether its process may be at work; of another host that cannot be known."""
    if holder is None or holder.host != socket.gethostname():
        return True
    # This process is at the beginning of a session, so a former one of its own has ended badly.
    if holder.pid == os.getpid():
        return False
    try:
        os.kill(int(holder.pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
