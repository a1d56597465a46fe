"""Limits of a model on a device, as tests.

pytest examples/test_latency.py --device local --artifact new.tflite --baseline old.tflite
"""

from __future__ import annotations

import pytest

from mobiledeploy.device_tests.checks import megabytes, ms, percent
from mobiledeploy.device_tests.gate import Setting


@pytest.fixture
def gate_setting() -> Setting:
    """How to measure: as the app runs it."""
    return Setting(threads=1, time_limit=60)


def test_nine_of_ten_frames_are_in_time(device, artifact):
    """Ten frames a second."""
    assert device.benchmark(artifact).p90 < ms(100)


def test_it_is_no_slower_than_before(latency, artifact, baseline):
    """Both files by turns, on the same device."""
    assert latency(artifact, baseline).regression < percent(20)


def test_it_fits_in(device, artifact):
    """Several limits in the same sessions."""
    assert device.gate(artifact, max_size="5MB", max_init="500ms", max_memory="200MB")
    assert device.benchmark(artifact).memory < megabytes(200)
