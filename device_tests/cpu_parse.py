"""Reads ``/proc/cpuinfo`` and what ``/sys`` says of cores: text in, data out."""

from __future__ import annotations

from collections.abc import Mapping

from mobiledeploy.device_tests.cpu_parts import core_name
from mobiledeploy.device_tests.facts import Core

CPU_FOLDER = "/sys/devices/system/cpu"


def parse_cpuinfo(text: str) -> tuple[tuple[Core, ...], tuple[str, ...]]:
    """Cores and the processor features that all of them have, from ``/proc/cpuinfo``.

    Returns:
        Cores that are online, without frequencies; features, sorted.
    """
    blocks = [_fields(block) for block in text.split("\n\n")]
    numbered = [fields for fields in blocks if fields.get("processor", "").isdigit()]
    # Old 32-bit kernels say once, at the end, what holds for all of them.
    shared = {name: value for fields in blocks if fields not in numbered for name, value in fields.items()}
    whole = [{**shared, **fields} for fields in numbered]
    sets = [set((fields.get("Features") or fields.get("flags") or "").split()) for fields in whole]
    common = set.intersection(*sets) if sets else set()
    return tuple(_core(fields) for fields in whole), tuple(sorted(common))


def add_frequencies(cores: tuple[Core, ...], files: Mapping[str, str]) -> tuple[Core, ...]:
    """The cores with governor and frequencies, and with those that are offline.

    Args:
        cores: from ``parse_cpuinfo``.
        files: content of files below ``/sys`` by path.
    """
    known = {core.index: core for core in cores}
    indices = {int(path.split("/")[5][3:]) for path in files if path.startswith(f"{CPU_FOLDER}/cpu")}
    return tuple(
        _with_files(known.get(index) or Core(index, online=False), files)
        for index in sorted(indices | known.keys())
    )


def _core(fields: Mapping[str, str]) -> Core:
    implementer, part = fields.get("CPU implementer"), fields.get("CPU part")
    name = fields.get("model name") or fields.get("uarch")
    if not implementer or not part:
        return Core(int(fields["processor"]), name=name)
    try:
        name = core_name(int(implementer, 16), int(part, 16)) or name
    except ValueError:
        return Core(int(fields["processor"]), name=name)
    return Core(int(fields["processor"]), part=f"{implementer}:{part}", name=name)


def _with_files(core: Core, files: Mapping[str, str]) -> Core:
    base = f"{CPU_FOLDER}/cpu{core.index}"
    return Core(
        core.index,
        core.online and files.get(f"{base}/online") != "0",
        core.part,
        core.name,
        files.get(f"{base}/cpufreq/scaling_governor"),
        number(files.get(f"{base}/cpufreq/scaling_min_freq")),
        number(files.get(f"{base}/cpufreq/scaling_max_freq")),
        number(files.get(f"{base}/cpufreq/scaling_cur_freq")),
    )


def number(text: str | None) -> int | None:
    """A whole number; None if the text is none."""
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}
