"""What devices print, read: texts in the forms that real ones use, written for these tests."""

from __future__ import annotations

import pytest

from mobiledeploy.device_tests.adb_program import parse_devices
from mobiledeploy.device_tests.android_parse import parse_battery, parse_getprop, parse_thermal
from mobiledeploy.device_tests.cpu_parse import add_frequencies, parse_cpuinfo
from mobiledeploy.device_tests.cpu_parts import core_name
from mobiledeploy.device_tests.facts import Battery, Core, Zone
from mobiledeploy.device_tests.load import busy_share
from mobiledeploy.device_tests.ssh_complaints import explain
from mobiledeploy.device_tests.system_parse import (
    denied,
    emulation,
    parse_files,
    parse_free,
    parse_memory,
    parse_os_release,
    parse_power,
    parse_zones,
)

LISTING = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
0A041FDD4003XK         device usb:1-4 product:oriole model:Pixel_6 device:oriole transport_id:3
127.0.0.1:5600         offline transport_id:4
R58M123ABCD            unauthorized usb:1-2 transport_id:5
deadbeef               no permissions (missing udev rules? user is in the plugdev group); see [a page] usb:1-3
emulator-5554          authorizing transport_id:7
????????????           no permissions; see [a page] usb:3-1
ZY22                   bootloader
a line of another kind

"""


def test_adb_devices() -> None:
    found = parse_devices(LISTING)
    assert [(item.serial, item.state) for item in found] == [
        ("0A041FDD4003XK", "device"),
        ("127.0.0.1:5600", "offline"),
        ("R58M123ABCD", "unauthorized"),
        ("deadbeef", "no permissions"),
        ("emulator-5554", "authorizing"),
        ("????????????", "no permissions"),
        ("ZY22", "bootloader"),
    ]
    assert found[0].model == "Pixel 6"
    assert found[0].advice == ""
    assert all(item.advice for item in found[1:])


def test_adb_devices_without_details_and_with_none() -> None:
    (item,) = parse_devices("List of devices attached\nABC\tunauthorized\n\n")
    assert (item.serial, item.state, item.model) == ("ABC", "unauthorized", "")
    assert parse_devices("List of devices attached\n\n") == ()
    assert parse_devices("cannot connect to daemon") == ()


BIG_LITTLE = """processor\t: 0
BogoMIPS\t: 49.15
Features\t: fp asimd aes asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd05
CPU revision\t: 0

processor\t: 4
BogoMIPS\t: 49.15
Features\t: fp asimd aes asimddp i8mm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd44
CPU revision\t: 0

Hardware\t: Maker Chip
"""
OLD_ARM = """processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)

processor\t: 1
model name\t: ARMv7 Processor rev 4 (v7l)

Features\t: half thumb neon vfpv4
CPU implementer\t: 0x41
CPU part\t: 0xd03
Hardware\t: BCM2835
"""
X86 = "processor\t: 0\nmodel name\t: Some x86 @ 2.0GHz\nflags\t\t: sse2 avx2\n\n"


def test_cpuinfo() -> None:
    cores, features = parse_cpuinfo(BIG_LITTLE)
    assert cores == (
        Core(0, part="0x41:0xd05", name="Cortex-A55"),
        Core(4, part="0x41:0xd44", name="Cortex-X1"),
    )
    assert features == ("aes", "asimd", "asimddp", "fp")


def test_cpuinfo_of_old_and_other_kernels() -> None:
    cores, features = parse_cpuinfo(OLD_ARM)
    assert [core.name for core in cores] == ["Cortex-A53", "Cortex-A53"]
    assert "neon" in features
    assert parse_cpuinfo(X86) == ((Core(0, name="Some x86 @ 2.0GHz"),), ("avx2", "sse2"))
    assert parse_cpuinfo("") == ((), ())


def test_unknown_cores_have_no_name() -> None:
    text = "processor : 0\nCPU implementer : 0x99\nCPU part : 0x123\n"
    assert parse_cpuinfo(text)[0] == (Core(0, part="0x99:0x123"),)
    assert parse_cpuinfo("processor : 0\nCPU implementer : ?\nCPU part : x\n")[0] == (Core(0),)
    assert core_name(0x51, 0x804) == "Kryo 4xx Gold"


SYS = """/sys/devices/system/cpu/cpu0/online:1
/sys/devices/system/cpu/cpu4/online:1
/sys/devices/system/cpu/cpu7/online:0
/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor:schedutil
/sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq:300000
/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq:1803000
/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:1401000
/sys/devices/system/cpu/cpu4/cpufreq/scaling_cur_freq:<unknown>
/sys/class/thermal/thermal_zone0/type:cpu-thermal
/sys/class/thermal/thermal_zone0/temp:48312
/sys/class/thermal/thermal_zone1/temp:41
/sys/class/thermal/thermal_zone2/type:broken
/sys/class/thermal/thermal_zone2/temp:
/sys/class/power_supply/ucsi:usb:001/type:USB
/sys/class/power_supply/battery:0/type:Battery
/sys/class/power_supply/battery:0/capacity:63
/sys/class/power_supply/battery:0/status:Discharging
/sys/class/power_supply/battery:0/temp:305
/sys/class/power_supply/battery:0/voltage_now:3912000
"""


def test_sys() -> None:
    files = parse_files(SYS)
    zero, four, seven = add_frequencies(parse_cpuinfo(BIG_LITTLE)[0], files)
    assert zero == Core(0, True, "0x41:0xd05", "Cortex-A55", "schedutil", 300000, 1803000, 1401000)
    assert four.current_khz is None
    assert seven == Core(7, online=False)
    assert parse_zones(files) == (Zone("cpu-thermal", 48.312), Zone("thermal_zone1", 41.0))
    assert parse_power(files) == Battery(63, False, 30.5, 3912)
    assert parse_power({}) is None


def test_what_may_not_be_read() -> None:
    said = "grep: /sys/a/temp: Permission denied\ngrep: /sys/b: No such file or directory\n"
    assert denied(said) == ("/sys/a/temp",)


def test_memory_and_space() -> None:
    assert parse_memory("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   500 kB\n") == (1024000, 512000)
    assert parse_memory("nothing") == (None, None)
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
    assert parse_free(f"{head}/dev/root 100 40 60 40% /\n") == 61440
    assert parse_free(f"{head}/dev/block/very-long\n 100 40 60 40% /data with space\n") == 61440
    assert parse_free("162901 4096\n") == 162901 * 4096
    assert parse_free("df: no such folder") is None
    assert parse_free("") is None


def test_os_release() -> None:
    found = parse_os_release('# a comment\nPRETTY_NAME="Some OS 12 (name)"\nID=some\nBAD="open\n')
    assert found == {"PRETTY_NAME": "Some OS 12 (name)", "ID": "some"}


def test_getprop() -> None:
    text = "[ro.a]: [one]\r\n[ro.b]: [two\nlines]\n[ro.c]: []\nnoise\n[ro.d]: [x [y] z]\n"
    assert parse_getprop(text) == {"ro.a": "one", "ro.b": "two\nlines", "ro.c": "", "ro.d": "x [y] z"}


BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  status: 2
  present: true
  level: 84
  scale: 100
  voltage: 4201
  temperature: 289
"""


def test_battery() -> None:
    assert parse_battery(BATTERY) == Battery(84, True, 28.9, 4201)
    assert parse_battery(BATTERY.replace("USB powered: true", "USB powered: false")) == Battery(
        84, False, 28.9, 4201
    )
    assert parse_battery("present: false\nlevel: 0\n") is None
    assert parse_battery("Can't find service: battery") is None


THERMAL = """IsStatusOverride: false
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=99.0, mType=0, mName=old, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=38.25, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=NaN, mType=3, mName=bad, mStatus=0}
\tTemperature{mValue=33.4, mType=3, mName=skin, mStatus=2}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""


def test_thermal() -> None:
    assert parse_thermal(THERMAL) == ("moderate", (Zone("CPU0", 38.25), Zone("skin", 33.4)))
    assert parse_thermal("Thermal Status: 99") == (None, ())
    assert parse_thermal("") == (None, ())


@pytest.mark.parametrize(
    ("properties", "tree", "files", "features", "expected"),
    [
        ({"ro.boot.qemu": "1"}, (), {}, (), (True, "ro.boot.qemu=1")),
        ({}, ("linux,dummy-virt",), {}, (), (True, "device tree: linux,dummy-virt")),
        ({}, (), {"/sys/class/dmi/id/sys_vendor": "QEMU"}, (), (True, "firmware: QEMU")),
        ({}, (), {}, ("hypervisor",), (True, "processor: hypervisor")),
        ({"ro.hardware": "oriole"}, (), {}, (), (False, None)),
        ({}, ("raspberrypi,4-model-b", "brcm,bcm2711"), {}, (), (False, None)),
        ({}, (), {}, (), (None, None)),
    ],
)
def test_emulation(properties, tree, files, features, expected) -> None:  # type: ignore[no-untyped-def]
    assert emulation(properties, tree, files, features) == expected


def test_busy_share() -> None:
    before, after = "cpu  100 0 100 800 0 0 0 0 0 0\n", "cpu  150 0 100 850 0 0 0 0 0 0\n"
    assert busy_share(before + after) == pytest.approx(0.5)
    assert busy_share(before + before) is None
    assert busy_share("") is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("No ED25519 host key is known for x.\nHost key verification failed.\n", "key is not known"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "another than",
        ),
        ("pi@x: Permission denied (publickey,password).", "login was refused"),
        ("ssh: Could not resolve hostname x: Name or service not known", "no such host"),
        ("ssh: connect to host x port 22: Connection refused", "nothing listens"),
        ("", "ssh said nothing"),
        ("odd \x1b[31m\nthing", r"odd \[31m thing"),
    ],
)
def test_ssh_complaints(said: str, meant: str) -> None:
    error = explain(said, "ssh:x", "ssh x")
    assert error.exit_code == 8
    with pytest.raises(type(error), match=meant):
        raise error
    assert error.hint
    assert "\x1b" not in str(error)
