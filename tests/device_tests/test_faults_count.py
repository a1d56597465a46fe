"""How many faults there are."""

from __future__ import annotations

import test_faults_calls as calls
import test_faults_machine as machine
import test_faults_process as process
import test_faults_runner as runner


def test_there_are_two_hundred_different_faults() -> None:
    groups = (
        *(calls.FAULTS, runner.FAULTS, process.FAULTS, process.DAMAGES),
        *(machine.FAULTS, machine.DEVICE_FAULTS, machine.STORAGE_FAULTS),
    )
    assert all(len(set(group)) == len(group) for group in groups)
    assert sum(map(len, groups)) >= 200
