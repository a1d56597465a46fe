"""Conditions of a phone, as its commands tell them."""

from __future__ import annotations

import pytest

from mobiledeploy.device_tests import conditions
from mobiledeploy.device_tests.conditions import observe
from mobiledeploy.device_tests.facts import DeviceFacts
from mobiledeploy.device_tests.fake import FakeTransport
from mobiledeploy.device_tests.probe import probe

POWER = "low_power={}\nairplane_mode_on={}\n  mWakefulness={}\n"
STAT = "cpu  100 0 100 800 0 0 0 0 0 0\n"
LATER = "cpu  150 0 150 900 0 0 0 0 0 0\n"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (POWER.format(1, 0, "Awake"), (True, True, False)),
        (POWER.format(0, 1, "Dozing"), (False, False, True)),
        (POWER.format("null", "", "\x1b[31m"), (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_power_save_screen_and_airplane_mode(
    printed: str, told: tuple[bool | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def android(transport: FakeTransport, folder: str) -> DeviceFacts:
        found = probe(transport, folder)
        return DeviceFacts(**{name: getattr(found, name) for name in found.__slots__} | {"kind": "android"})

    monkeypatch.setattr(conditions, "probe", android)
    device = FakeTransport(
        {
            ("sh",): lambda words: (
                printed if "low_power" in words[2] else STAT + LATER if "/proc/stat" in words[2] else ""
            )
        }
    )
    _, seen = observe(device, "/data/local/tmp")
    assert (seen.power_save, seen.screen, seen.airplane) == told
    assert seen.busy == pytest.approx(0.5)


def test_a_board_has_no_such_settings() -> None:
    _, seen = observe(FakeTransport(), "/tmp")  # noqa: S108
    assert (seen.power_save, seen.screen, seen.airplane, seen.busy) == (None,) * 4
