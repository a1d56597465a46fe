"""What else a device did during a launch: governors, heat, other work; seen at every launch.

A launch is started through a small script that writes a few lines into the session's folder before
and after it, so that both arms are seen alike and nothing is asked over the wire meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from mobiledeploy.device_tests.gate.decision import FIRST
from mobiledeploy.device_tests.gate.intervals import symmetric_interval

# Means of the two arms; more cannot come from their taking turns.
UNLIKE_CELSIUS = 2.0
# Of one core, in the middle of the launches' differences.
UNLIKE_WORK = 0.10
SLOWED = 0.95
FILE = "beside"
# $1 the file, then the runner.  "user system" of a shell's children are in the second line of times.
# No other program is started: phones take milliseconds for each.
_AROUND = """
file=$1
shift
each() {
    words=
    for name in "$@"; do read -r word <"$name" && words="$words $word"; done 2>/dev/null
}
see() {
    each /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor
    echo "governors$words"
    each /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq
    echo "limits$words"
    each /sys/class/thermal/thermal_zone*/temp
    echo "heat$words"
    count=0
    while read -r name rest; do
        case $name in cpu) ticks=$rest ;; cpu*) count=$((count + 1)) ;; *) break ;; esac
    done 2>/dev/null </proc/stat
    echo "cores $count"
    echo "ticks $ticks"
}
{ echo begin; see; } >>"$file"
"$@"
code=$?
{ see; times; echo end; } >>"$file"
exit $code
"""
_TICKS_PER_SECOND = 100.0
_IDLE = (3, 4)
_TIME = re.compile(r"(\d+)m(\d+(?:\.\d+)?)s")
# Beyond it a thermometer tells nonsense.
_PLAUSIBLE = range(1, 150)


@dataclass(frozen=True, slots=True)
class Beside:
    """One launch, seen from beside; None or empty: the device does not tell.

    Attributes:
        governors: of the cores, before the launch and after it.
        limits_khz: highest frequency that each core may have, lowest of before and after.
        celsius: the hottest thermometer, after it.
        other_work: of all other processes, in cores (1.0: as much as one core can do).
    """

    governors: tuple[str, ...] = ()
    limits_khz: tuple[int, ...] = ()
    celsius: float | None = None
    other_work: float | None = None


def around(folder: str, argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs a launch and writes what is beside it.

    Args:
        folder: of the session, on the device.
        argv: the runner and its arguments.
    """
    return ("sh", "-c", _AROUND, "sh", f"{folder}/{FILE}", *argv)


def read_beside(text: str) -> Beside:
    """What the last launch in the file's text wrote."""
    lines = text.rpartition("begin\n")[2].splitlines()
    governors = [tuple(line.split()[1:]) for line in lines if line.startswith("governors")]
    limits = [_numbers(line) for line in lines if line.startswith("limits")]
    heat = [_celsius(line) for line in lines if line.startswith("heat")]
    ticks = [_numbers(line) for line in lines if line.startswith("ticks")]
    cores = [_numbers(line) for line in lines if line.startswith("cores")]
    whole = len(governors) == 2 and len(limits) == 2
    return Beside(
        governors=tuple(dict.fromkeys(name for names in governors for name in names)) if whole else (),
        limits_khz=tuple(map(min, *limits)) if whole and len(limits[0]) == len(limits[1]) else (),
        celsius=heat[-1] if heat else None,
        other_work=_other_work(ticks, cores, [line for line in lines if _TIME.match(line)]),
    )


def unlike(candidate: Sequence[Beside], baseline: Sequence[Beside]) -> tuple[str, ...]:
    """In what the conditions of two arms differ, so that they cannot be compared; empty: nothing seen.

    Args:
        candidate, baseline: of the launches, pair by pair.
    """
    return tuple(_unlike(candidate, baseline))


def slowed(seen: Sequence[Beside]) -> str:
    """How the device slowed its cores during these launches; empty: not as far as it tells."""
    limits = [item.limits_khz for item in seen if item.limits_khz]
    for core, values in enumerate(zip(*limits, strict=False)):
        if min(values) < SLOWED * max(values):
            return f"core {core} was limited to {min(values) / 1000:.0f} of {max(values) / 1000:.0f} MHz"
    return ""


def other_work(seen: Sequence[Beside]) -> float | None:
    """Median of what other processes took, in cores; None: the device does not tell."""
    known = sorted(item.other_work for item in seen if item.other_work is not None)
    return known[len(known) // 2] if known else None


def _unlike(candidate: Sequence[Beside], baseline: Sequence[Beside]) -> Iterator[str]:
    ours, theirs = ({name for item in arm for name in item.governors} for arm in (candidate, baseline))
    if ours != theirs:
        yield f"governor {_listed(ours)} against {_listed(theirs)}"
    warm, cool = ([item.celsius for item in arm if item.celsius is not None] for arm in (candidate, baseline))
    if warm and cool and abs(fmean(warm) - fmean(cool)) > UNLIKE_CELSIUS:
        yield f"temperature {fmean(warm):.1f} C against {fmean(cool):.1f} C"
    work = [
        ours.other_work - theirs.other_work
        for ours, theirs in zip(candidate, baseline, strict=False)
        if ours.other_work is not None and theirs.other_work is not None
    ]
    interval = symmetric_interval(work, FIRST.level)
    if interval.low > UNLIKE_WORK or interval.high < -UNLIKE_WORK:
        yield f"other work took {abs(sorted(work)[len(work) // 2]):.2f} cores more beside one of them"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "unknown"


def _numbers(line: str) -> tuple[int, ...]:
    return tuple(int(word) for word in line.split()[1:] if word.isdecimal())


def _celsius(line: str) -> float | None:
    """Kernels give thousandths, some whole degrees."""
    values = [value / 1000 if value > 1000 else float(value) for value in _numbers(line)]
    return max((value for value in values if int(value) in _PLAUSIBLE), default=None)


def _other_work(
    ticks: Sequence[tuple[int, ...]], cores: Sequence[tuple[int, ...]], times: Sequence[str]
) -> float | None:
    if len(ticks) != 2 or len(ticks[0]) != len(ticks[1]) or len(ticks[0]) <= max(_IDLE):
        return None
    # Guests' time is counted in user time already.
    spent = [after - before for before, after in zip(*ticks, strict=True)][:8]
    total = sum(spent)
    if total <= 0 or not cores or not cores[-1] or not times:
        return None
    busy = total - sum(spent[column] for column in _IDLE)
    own = sum(60 * int(minutes) + float(seconds) for minutes, seconds in _TIME.findall(times[-1]))
    share: float = (busy - own * _TICKS_PER_SECOND) / total
    return max(0.0, share * cores[-1][0])
