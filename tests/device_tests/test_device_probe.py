"""Facts and checks of scripted devices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mobiledeploy.device_tests import health
from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, DeviceTimeout
from mobiledeploy.device_tests.facts import Battery, Core, DeviceFacts, Zone
from mobiledeploy.device_tests.fake import Answer, FakeTransport
from mobiledeploy.device_tests.folder import work_folder
from mobiledeploy.device_tests.probe import SYSTEM_FILES, probe
from mobiledeploy.device_tests.references import Device
from mobiledeploy.device_tests.transport import Completed, Transport

PHONE: dict[tuple[str, ...], Answer] = {
    ("getprop",): "[ro.build.version.release]: [14]\n[ro.build.version.sdk]: [34]\n"
    "[ro.product.manufacturer]: [Maker]\n[ro.product.model]: [Phone\x1b[31m 7]\n"
    "[ro.build.fingerprint]: [maker/phone:14/A/1:user/release-keys]\n"
    "[ro.soc.manufacturer]: [Chips]\n[ro.soc.model]: [C9]\n"
    "[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\n",
    ("uname", "-s"): "Linux\n",
    ("uname", "-r"): "5.10.1\n",
    ("uname", "-m"): "aarch64\n",
    (
        "cat",
        "/proc/cpuinfo",
    ): "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd05\n",
    ("cat", "/proc/meminfo"): "MemTotal: 4000 kB\nMemAvailable: 1000 kB\n",
    ("dumpsys", "battery"): "level: 55\nscale: 100\nUSB powered: true\n",
    ("dumpsys", "thermalservice"): "Thermal Status: 0\nCurrent temperatures from HAL:\n"
    "Temperature{mValue=30.0, mType=3, mName=skin, mStatus=0}\n",
    SYSTEM_FILES: Completed(
        2,
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor:schedutil\n",
        "grep: /sys/class/thermal/thermal_zone0/temp: Permission denied\n",
    ),
    ("sh", "-c"): "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 9 1 8 10% /data\n",
}


def test_a_phone() -> None:
    facts = probe(FakeTransport(PHONE), "/data/local/tmp")
    assert (facts.kind, facts.manufacturer, facts.model, facts.soc) == (
        "android",
        "Maker",
        "Phone [31m 7",
        "Chips C9",
    )
    assert facts.cores == (Core(0, part="0x41:0xd05", name="Cortex-A55", governor="schedutil"),)
    assert facts.abis == ("arm64-v8a", "armeabi-v7a")
    assert facts.os == "Android 14 (API 34)"
    assert facts.build == "maker/phone:14/A/1:user/release-keys"
    assert facts.kernel == "Linux 5.10.1"
    assert (facts.memory_total, facts.memory_available, facts.free_bytes) == (4096000, 1024000, 8192)
    assert facts.battery == Battery(55, True)
    assert (facts.thermal_status, facts.zones) == ("none", (Zone("skin", 30.0),))
    assert (facts.emulated, facts.emulated_sign) == (False, None)
    assert [(item.name, item.reason) for item in facts.unread] == [
        ("/sys/class/thermal/thermal_zone0/temp", "permission denied")
    ]
    assert json.loads(facts.to_json())["schema_version"] == 1


def test_a_device_that_says_nothing() -> None:
    facts = probe(FakeTransport(), "/x")
    named = {item.name: item.reason for item in facts.unread}
    for name in (
        "kind",
        "kernel",
        "abis",
        "cores",
        "memory_total",
        "os",
        "free_bytes",
        "emulated",
        "battery",
        "model",
    ):
        assert getattr(facts, name) in (None, ())
        assert named[name]
    assert named["kind"] == "uname: not found"


def test_one_answer_too_late_is_one_value_missing() -> None:
    late: dict[tuple[str, ...], Answer] = {**PHONE, ("dumpsys", "battery"): DeviceTimeout("took too long")}
    facts = probe(FakeTransport(late), "/x")
    assert facts.battery is None
    assert "took too long" in {item.reason for item in facts.unread}
    lost: dict[tuple[str, ...], Answer] = {**PHONE, ("dumpsys", "battery"): DeviceLost("gone")}
    with pytest.raises(DeviceLost):
        probe(FakeTransport(lost), "/x")


@pytest.mark.parametrize(
    "answer", ["x\n/tmp: full\n", Completed(1, "/a: cannot be made\n/b: full\n"), Completed(1)]
)
def test_no_folder(answer: Answer) -> None:
    with pytest.raises(DeviceError, match="no folder to run programs from"):
        work_folder(FakeTransport({("sh",): answer}))


def test_folder() -> None:
    assert work_folder(FakeTransport({("sh",): "/a: full\nok /b c\n"})) == "/b c"


FACTS = replace(probe(FakeTransport(PHONE), "/d"), free_bytes=10**9)


@pytest.mark.parametrize(
    ("check", "change", "verdict"),
    [
        (health.check_space, {}, "pass"),
        (health.check_space, {"free_bytes": 10**8}, "warn"),
        (health.check_space, {"free_bytes": 10**6}, "fail"),
        (health.check_space, {"free_bytes": None}, "warn"),
        (health.check_governor, {}, "warn"),
        (health.check_governor, {"cores": (Core(0, governor="performance"),)}, "pass"),
        (health.check_governor, {"cores": (Core(0),)}, "warn"),
        (health.check_temperature, {}, "pass"),
        (health.check_temperature, {"zones": (Zone("a", 20.0), Zone("b", 50.0))}, "warn"),
        (health.check_temperature, {"zones": (Zone("a", 90.0),)}, "fail"),
        (health.check_temperature, {"thermal_status": "light"}, "warn"),
        (health.check_temperature, {"thermal_status": "severe"}, "fail"),
        (health.check_temperature, {"thermal_status": None, "zones": ()}, "warn"),
        (health.check_battery, {}, "pass"),
        (health.check_battery, {"battery": None}, "pass"),
        (health.check_battery, {"battery": Battery(5, False)}, "warn"),
        (health.check_real, {}, "pass"),
        (health.check_real, {"emulated": True, "emulated_sign": "x"}, "warn"),
        (health.check_real, {"emulated": None}, "warn"),
    ],
)
def test_checks(check, change, verdict) -> None:  # type: ignore[no-untyped-def]
    found = check(replace(FACTS, **change))
    assert found.verdict == verdict
    assert found.found
    assert bool(found.advice) == (verdict != "pass")


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "pass"), (0.2, "warn"), (0.9, "fail"), (None, "warn")])
def test_load(share: float | None, verdict: str) -> None:
    assert health.check_load(share).verdict == verdict


def test_a_shell_that_eats_quotes() -> None:
    good = FakeTransport({("sh",): lambda argv: Completed(7, argv[-1])})
    bad = FakeTransport({("sh",): lambda argv: Completed(7, argv[-1].replace("'", ""))})
    assert health.check_shell(Device("x", good)).verdict == "pass"
    assert health.check_shell(Device("x", bad)).verdict == "fail"


def test_a_fake_is_a_transport(tmp_path: Path) -> None:
    fake = FakeTransport({("a",): "1", ("a", "b"): Completed(3, "2")}, {"/f": b"x"})
    transport: Transport = fake
    assert transport.run(["a", "c"]) == Completed(0, "1")
    assert transport.run(["a", "b", "d"]).exit_code == 3
    assert transport.run(["z"]).exit_code == 127
    transport.pull("/f", tmp_path / "f")
    transport.push(tmp_path / "f", "/g", 0o755)
    assert (fake.files["/g"], fake.modes["/g"]) == (b"x", 0o755)
    with pytest.raises(DeviceError, match="no such file"):
        transport.pull("/absent", tmp_path / "f")
    fake.lost = True
    for call in (lambda: transport.run(["a"]), lambda: transport.pull("/f", tmp_path / "f")):
        with pytest.raises(DeviceLost):
            call()
    transport.reconnect()
    assert transport.run(["a"]).stdout == "1"
    transport.close()
    assert fake.closed
    assert fake.calls[0] == ("a", "c")


def test_facts_have_no_field_without_words() -> None:
    assert all(f"{name}" in (DeviceFacts.__doc__ or "") for name in DeviceFacts.__slots__)
