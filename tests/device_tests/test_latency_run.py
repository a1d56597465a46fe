"""What a record of latencies says about itself."""

from __future__ import annotations

from dataclasses import replace

from example_runs import latency_run


def test_missing_launches_are_not_complete() -> None:
    run = latency_run()
    assert replace(run, planned=len(run.launches)).complete
    assert not replace(run, planned=len(run.launches) + 1).complete
    assert not replace(run, launches=()).complete
