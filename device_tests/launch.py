"""One launch of the runner: governor set and put back around it, energy counted, its words read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mobiledeploy.device_tests.conditions import utc_now
from mobiledeploy.device_tests.copying import DIGEST
from mobiledeploy.device_tests.dialect import OURS, Dialect
from mobiledeploy.device_tests.energy import spent
from mobiledeploy.device_tests.errors import DeviceError, DeviceTimeout, InterruptedRun, one_line
from mobiledeploy.device_tests.latency_run import Launch
from mobiledeploy.device_tests.session import PUT_BACK, Session
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.runner.report import Report

LAUNCH_TIMEOUT = 300.0
# $1 session's folder, $2 governor or nothing, then the runner.  The old governors stand in a file
# before the first is changed: should this shell be killed, whoever comes next puts them back.  They
# stand in a variable too, should the file be gone.  The arguments as they arrived and what the runner
# said are digested on the device: what adb carries has no checksum of its own.
_AROUND = f"""{PUT_BACK}
folder=$1 governor=$2 code=
shift 2
files='/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor'
if [ -n "$governor" ] && cat $files >/dev/null 2>&1; then
    before=$(for file in $files; do read -r old <$file && echo "$file $old"; done)
    trap 'echo "$before" | give_back; rm -f "$folder/governors"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    echo "$before" >"$folder/governors.new" &&
        mv -f "$folder/governors.new" "$folder/governors" &&
        for file in $files; do echo "$governor" 2>/dev/null >$file; done
    set=0 all=0
    for file in $files; do
        all=$((all + 1))
        read -r now <$file && [ "$now" = "$governor" ] && set=$((set + 1))
    done
    printf '\\n{{"event":"governor","set":%d,"all":%d}}\\n' $set $all
fi
power() {{
    for supply in /sys/class/power_supply/*; do
        [ "$(cat $supply/type 2>/dev/null)" = Battery ] || continue
        printf '\\n{{"event":"power","status":"%s"' "$(tr -cd A-Za-z <$supply/status 2>/dev/null)"
        for name in energy_now charge_now charge_counter voltage_now; do
            value=$(tr -cd 0-9 2>/dev/null <$supply/$name) && printf ',"%s":%s' $name "${{value:-null}}"
        done
        printf '}}\\n'
        break
    done
}}
power
printf '\\n{{"event":"begin"}}\\n'
{{ "$@"; echo $? >"$folder/code"; }} | tee "$folder/said"
read -r code <"$folder/code"
sum=$({{ printf '%s\\n' "$*"; cat "$folder/said"; }} | {DIGEST})
printf '\\n{{"event":"said","sha256":"%s"}}\\n' "${{sum%% *}}"
power
exit ${{code:-1}}
"""
_SAID = re.compile(r'^{"event":"begin"}\n(.*)\n{"event":"said","sha256":"(\w*)"}$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of a launch.

    Attributes:
        report: the runner's own words.
        launch: the samples, for a record.
        governor: cores that had the wanted governor, of those that have one; None: not tried.
        error: the device was lost or the time was over; what had arrived is there all the same.
    """

    report: Report
    launch: Launch
    governor: tuple[int, int] | None
    error: InterruptedRun | None


def launch(
    session: Session,
    argv: Sequence[str],
    order: int,
    *,
    dialect: Dialect = OURS,
    governor: str = "",
    timeout: float = LAUNCH_TIMEOUT,
) -> Launched:
    """Run the runner once; ``Session.check`` tells afterwards whether its files were still what they were.

    Args:
        session: on the device.
        argv: the runner and its arguments, as the device knows them.
        order: of this launch in the session.
        dialect: that the runner speaks.
        governor: to set meanwhile, where that is permitted; empty: none.
        timeout: seconds.

    Raises:
        DeviceError: the runner gave up or ended without saying so, or something was damaged.
    """
    started = utc_now()
    error: InterruptedRun | None = None
    try:
        done = session.run(["sh", "-c", _AROUND, "sh", session.folder, governor, *argv], timeout)
        stdout, stderr, code = done.stdout, done.stderr, done.exit_code
        if done.dropped:
            raise DeviceError(
                f"the runner printed {done.dropped} bytes too many",
                where=session.transport.name,
                hint="Measure for a shorter time, or see what else prints there",
            )
    except InterruptedRun as interrupted:
        error, stdout, stderr, code = interrupted, interrupted.stdout, interrupted.stderr, None
        # Its own shell may have been killed before it could; ``resume`` asks a device that was lost.
        if isinstance(interrupted, DeviceTimeout):
            with suppress(DeviceError):
                session.put_back()
    try:
        report = dialect.read(stdout, stderr, code == 0)
    except InputError as damaged:
        raise DeviceError(damaged.what, where=session.transport.name, hint=damaged.hint) from damaged
    if error is None:
        if report.failure or not report.ended or code:
            raise _failure(session.transport.name, report, stderr, code)
        _check_way(session.transport.name, argv, stdout)
    asides = _asides(stdout)
    energy = spent(item for item in asides if item["event"] == "power")
    return Launched(report, _record(report, order, started, energy), _governor(asides), error)


def _check_way(device: str, argv: Sequence[str], stdout: str) -> None:
    """What was asked arrived there, and what was said here, as it was.

    Raises:
        DeviceError: it did not.
    """
    found = _SAID.search(stdout)
    meant = f"{' '.join(argv)}\n{found[1] if found else ''}".encode(errors="surrogateescape")
    if found is None or found[2] != hashlib.sha256(meant).hexdigest():
        raise DeviceError(
            "what was asked or said was damaged on its way",
            where=device,
            hint="The connection is bad, or something else prints there: try again, with another cable",
        )


def _record(report: Report, order: int, started: str, energy: int | None) -> Launch:
    return Launch(
        order=order,
        started=started,
        load_ns=report.load_ns,
        init_ns=report.init_ns,
        first_ns=report.first_ns,
        warmup_ns=report.warmup_ns,
        samples_ns=report.samples_ns,
        starts_ns=report.starts_ns,
        memory_before=report.memory_before,
        memory_peak=report.memory_peak,
        digest=report.digest,
        steady=report.steady,
        complete=report.ended,
        energy_uj=energy,
    )


def _failure(device: str, report: Report, stderr: str, code: int | None) -> DeviceError:
    if report.failure:
        hint = _HINTS.get(report.failure.code, "See docs/runner.md")
        return DeviceError(f"the runner gave up: {report.failure.message}", where=device, hint=hint)
    said = one_line(stderr) or " ".join(report.odd)
    if code is not None and code > 128:
        what = f"the runner was ended by signal {code - 128}"
    elif code in {126, 127}:
        what = "the runner does not run there"
    else:
        what = f"the runner ended without its last line (exit code {code})"
    return DeviceError(
        f"{what} ({said})" if said else what, where=device, hint=f"mobiledeploy devices doctor {device}"
    )


_HINTS = {
    "usage": "Use the runner of this version of mobiledeploy",
    "engine": "Pass a library of that device's architecture with --engine-library, or take --runner python",
    "model": "Convert it for the version of the engine on the device, or take a newer engine",
    "input": "The model's inputs are not what its contract says: convert it again",
    "output": "Free some space on the device",
    "inference": "Run it on this host to see whether the file is at fault: mobiledeploy verify",
    "memory": "Free memory on the device, or take a smaller model",
    "affinity": "Choose cores that are online: mobiledeploy devices info shows them",
}


def _asides(stdout: str) -> list[dict[str, Any]]:
    """Events of ``_AROUND``, which are not the runner's."""
    found = []
    for line in stdout.splitlines():
        if line.startswith(('{"event":"power"', '{"event":"governor"')):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def _governor(asides: list[dict[str, Any]]) -> tuple[int, int] | None:
    for event in asides:
        if event["event"] == "governor" and isinstance(event.get("set"), int) and event.get("all"):
            return event["set"], int(event["all"])
    return None
