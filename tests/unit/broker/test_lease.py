"""The lease: a driver that was overtaken writes nothing."""

from __future__ import annotations

import pytest

from mediabroker import JobState, Transcode
from mediabroker.broker.attempt.attempt import Attempt, LeaseLostError
from tests.unit.broker.conftest import HandClock, MakeBroker


def test_a_driver_whose_lease_was_taken_over_changes_nothing(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, _ = make_broker()
    job = broker.submit(spec)
    core = broker._core
    slow = Attempt.acquire(core, job.id, JobState.QUEUED)
    clock.advance(core.settings.lease_s + 1)
    quick = Attempt.acquire(core, job.id, JobState.QUEUED)
    assert slow is not None
    assert quick is not None
    with pytest.raises(LeaseLostError), slow.unit():
        slow.end(JobState.CANCELLED)
    assert job.refresh().state is JobState.QUEUED
    with quick.unit():
        quick.end(JobState.CANCELLED)
    assert job.refresh().state is JobState.CANCELLED
