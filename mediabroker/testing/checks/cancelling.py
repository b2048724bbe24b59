"""Cancel: a request with an honest answer."""

from __future__ import annotations

import pytest

from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.testing.checks.observing import arrange
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, attempt_of, watch

__all__ = ["CancellingChecks"]

_GRANTED = (CancelOutcome.CANCELLED, CancelOutcome.REQUESTED)


class CancellingChecks:
    """A provider that cannot cancel says UNSUPPORTED, and only such a one does."""

    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING], ids=str)
    def test_cancel_of_a_living_job_ends_it(self, rig: Rig, driver: Driver, state: JobState) -> None:
        started = arrange(rig, driver, state)
        outcome = driver.run(driver.provider.cancel(started.members))
        if not driver.provider.capabilities().cancel:
            assert outcome is CancelOutcome.UNSUPPORTED
            assert attempt_of(driver, started).state is not JobState.CANCELLED
            return
        if state in rig.uncancellable:
            assert outcome is CancelOutcome.UNSUPPORTED, f"{outcome}, although {rig.uncancellable[state]}"
            assert attempt_of(driver, started).state is state
            return
        assert outcome in _GRANTED, f"cancel of a {state} job: {outcome}"
        if outcome is CancelOutcome.CANCELLED:
            assert attempt_of(driver, started).state is JobState.CANCELLED, "said CANCELLED before it was"
        assert watch(rig, driver, started)[-1].state is JobState.CANCELLED

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED], ids=str)
    def test_cancel_of_a_finished_job_is_too_late(self, rig: Rig, driver: Driver, state: JobState) -> None:
        started = arrange(rig, driver, state)
        outcome = driver.run(driver.provider.cancel(started.members))
        able = driver.provider.capabilities().cancel
        assert outcome is (CancelOutcome.TOO_LATE if able else CancelOutcome.UNSUPPORTED)
        assert attempt_of(driver, started).state is state, "a cancel changed how the job ended"

    def test_cancel_twice_is_cancel_once(self, rig: Rig, driver: Driver) -> None:
        _skip_unless_able(driver)
        started = arrange(rig, driver, JobState.QUEUED)
        driver.run(driver.provider.cancel(started.members))
        again = driver.run(driver.provider.cancel(started.members))
        assert again is not CancelOutcome.UNSUPPORTED
        assert watch(rig, driver, started)[-1].state is JobState.CANCELLED

    def test_cancel_spares_the_other_jobs(self, rig: Rig, driver: Driver) -> None:
        _skip_unless_able(driver)
        spared = arrange(rig, driver, JobState.QUEUED)
        ended = arrange(rig, driver, JobState.QUEUED)
        driver.run(driver.provider.cancel(ended.members))
        watch(rig, driver, ended)
        assert attempt_of(driver, spared).state in (JobState.QUEUED, JobState.RUNNING)

    def test_cancel_starts_nothing(self, rig: Rig, driver: Driver) -> None:
        started = arrange(rig, driver, JobState.QUEUED)
        held = rig.count_jobs()
        driver.exchanges.clear()
        driver.run(driver.provider.cancel(started.members))
        assert not driver.calls("create")
        assert rig.count_jobs() == held

    def test_a_new_provider_object_can_cancel(self, rig: Rig, driver: Driver) -> None:
        _skip_unless_able(driver)
        started = arrange(rig, driver, JobState.QUEUED)
        with Driver(rig.open()) as another:
            assert another.run(another.provider.cancel(started.members)) in _GRANTED
        assert watch(rig, driver, started)[-1].state is JobState.CANCELLED


def _skip_unless_able(driver: Driver) -> None:
    if not driver.provider.capabilities().cancel:
        pytest.skip("this vendor cannot cancel")
