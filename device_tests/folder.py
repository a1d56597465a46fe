"""A folder on the device to work in: it can be written to, and programs may run from it."""

from __future__ import annotations

from mobiledeploy.device_tests.errors import DeviceError, one_line
from mobiledeploy.device_tests.transport import RUN_TIMEOUT, Transport

RAN = 42
# $1: the folder that the user named, or nothing.  The last line says `ok FOLDER`, those before it why not.
_CHOOSE = f"""
umask 077
shell=/bin/sh
[ -x $shell ] || shell=/system/bin/sh
usable() {{
    mkdir -p "$1" 2>/dev/null || {{ echo "$1: cannot be made"; return 1; }}
    [ -O "$1" ] && [ -w "$1" ] || {{ echo "$1: belongs to someone else"; return 1; }}
    probe=$1/.probe-$$
    {{ printf '#!%s\\nexit {RAN}\\n' "$shell" >"$probe"; }} 2>/dev/null ||
        {{ echo "$1: full or read-only"; return 1; }}
    chmod 700 "$probe"
    "$probe" 2>/dev/null
    code=$?
    rm -f "$probe"
    [ $code = {RAN} ] || {{ echo "$1: programs may not run there"; return 1; }}
    echo "ok $1"
}}
if [ -n "$1" ]; then usable "$1"; exit; fi
if [ -d /data/local/tmp ]; then usable /data/local/tmp/mobiledeploy && exit; fi
if [ -n "${{HOME%/}}" ]; then usable "${{XDG_CACHE_HOME:-$HOME/.cache}}/mobiledeploy" && exit; fi
for place in /var/tmp /tmp; do usable "$place/mobiledeploy-$(id -u)" && exit; done
exit 1
"""


def work_folder(transport: Transport, wanted: str | None = None, timeout: float = RUN_TIMEOUT) -> str:
    """Find, and make, a folder to work in.

    Args:
        transport: a connected device.
        wanted: absolute path; None: a usual place of such a device.
        timeout: seconds.

    Returns:
        Its absolute path; nobody else may write there.

    Raises:
        DeviceError: there is none; says what was wrong with each.
    """
    done = transport.run(["sh", "-c", _CHOOSE, "sh", wanted or ""], timeout)
    *reasons, last = done.stdout.splitlines() or [""]
    if done.exit_code == 0 and last.startswith("ok /"):
        return last.removeprefix("ok ")
    said = "; ".join(one_line(reason) for reason in [*reasons, last] if reason) or one_line(done.stderr)
    raise DeviceError(
        f"no folder to run programs from ({said or 'the shell gave no reason'})",
        where=transport.name,
        hint='Name one in devices.toml: folder = "/path"',
    )
