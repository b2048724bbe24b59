"""Query: every state, honest about the unknown, from any process."""

from __future__ import annotations

import json
import math

import pytest

from mediabroker.errors import JobError
from mediabroker.jobs import result_type_of
from mediabroker.spi import Member
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.elsewhere import query_elsewhere
from mediabroker.testing.rig import Rig, Started, attempt_of, start, watch

__all__ = ["ObservingChecks", "arrange"]

SHOWN = [state for state in JobState if state is not JobState.SUBMITTING]


def arrange(rig: Rig, driver: Driver, state: JobState) -> Started:
    """A job in that state, or a skip with the rig's reason why this vendor never shows it."""
    if state in rig.unreachable:
        pytest.skip(f"never {state}: {rig.unreachable[state]}")
    return rig.arrange(driver, state)


class ObservingChecks:
    """What the provider says of its jobs."""

    @pytest.mark.parametrize("state", SHOWN, ids=str)
    def test_every_state_is_reachable_and_keeps_what_the_vendor_said(
        self, rig: Rig, driver: Driver, state: JobState
    ) -> None:
        started = arrange(rig, driver, state)
        assert attempt_of(driver, started).state is state
        for seen in driver.run(driver.provider.query(started.members)):
            assert seen.raw, f"{seen.native_id}: the vendor's own words are lost"
            json.dumps(seen.raw, allow_nan=False)

    def test_a_queued_job_has_no_result_and_no_error(self, rig: Rig, driver: Driver) -> None:
        seen = attempt_of(driver, arrange(rig, driver, JobState.QUEUED))
        assert (seen.result, seen.error) == (None, None)

    def test_every_kind_succeeds_with_a_result_of_its_type(self, rig: Rig, driver: Driver) -> None:
        for kind in driver.provider.capabilities().kinds:
            started = start(driver, rig.spec(kind))
            end = watch(rig, driver, started)[-1]
            assert end.state is JobState.SUCCEEDED, f"{kind}: ended {end}"
            assert type(end.result) is result_type_of(kind), f"{kind}: result {end.result!r}"
            if started.spec.output is not None:
                assert end.result.outputs, f"{kind}: the result names no output"
            assert end.error is None

    def test_a_failed_job_says_why(self, rig: Rig, driver: Driver) -> None:
        seen = attempt_of(driver, arrange(rig, driver, JobState.FAILED))
        assert isinstance(seen.error, JobError), f"failed without an error: {seen}"
        assert seen.error.message.strip()

    @pytest.mark.parametrize("state", [state for state in SHOWN if state.is_terminal], ids=str)
    def test_an_end_is_final(self, rig: Rig, driver: Driver, state: JobState) -> None:
        started = arrange(rig, driver, state)
        first = attempt_of(driver, started)
        rig.nudge(started)
        second = attempt_of(driver, started)
        assert (first.state, first.error, first.result) == (second.state, second.error, second.result)

    def test_states_and_progress_never_run_back(self, rig: Rig, driver: Driver) -> None:
        seen = watch(rig, driver, start(driver, rig.spec(rig.kind)))
        ranks = [each.state.rank for each in seen if each.state is not None]
        assert ranks == sorted(ranks), f"states ran back: {[each.state for each in seen]}"
        progress = [each.progress for each in seen if each.progress is not None]
        assert all(0 <= each <= 1 for each in progress), f"progress outside 0 to 1: {progress}"
        assert progress == sorted(progress), f"progress ran back: {progress}"
        if driver.provider.capabilities().progress:
            assert progress, "progress is declared, none was shown"

    def test_query_of_an_unknown_id_is_not_found(self, rig: Rig, driver: Driver) -> None:
        nobody = Member(role="run", native_id=rig.unknown_id())
        (seen,) = driver.run(driver.provider.query([nobody]))
        assert seen.not_found, f"an unknown id is {seen}"
        assert (seen.native_id, seen.state) == (nobody.native_id, None)

    def test_one_query_answers_for_every_member(self, rig: Rig, driver: Driver) -> None:
        members = [member for _ in range(3) for member in start(driver, rig.spec(rig.kind)).members]
        nobody = Member(role="run", native_id=rig.unknown_id())
        seen = driver.run(driver.provider.query([*members, nobody]))
        assert sorted(each.native_id for each in seen) == sorted(each.native_id for each in [*members, nobody])
        assert [each.native_id for each in seen if each.not_found] == [nobody.native_id]

    def test_members_are_queried_in_batches(self, rig: Rig, driver: Driver) -> None:
        able = driver.provider.capabilities()
        if able.query_batch == 1:
            pytest.skip("this vendor is asked for one job at a time")
        members = [member for _ in range(3) for member in start(driver, rig.spec(rig.kind)).members]
        driver.exchanges.clear()
        driver.run(driver.provider.query(members))
        assert len(driver.calls()) <= math.ceil(len(members) / able.query_batch), "one call for each member"

    def test_query_of_nothing_answers_nothing(self, driver: Driver) -> None:
        assert driver.run(driver.provider.query([])) == []

    def test_queries_only_read(self, rig: Rig, driver: Driver) -> None:
        started = start(driver, rig.spec(rig.kind))
        driver.exchanges.clear()
        driver.run(driver.provider.query(started.members))
        assert {call.effect for call in driver.calls()} == {"read"}

    def test_a_new_provider_object_can_query(self, rig: Rig, driver: Driver) -> None:
        started = start(driver, rig.spec(rig.kind))
        with Driver(rig.open()) as another:
            seen = another.run(another.provider.query(started.members))
        assert {each.native_id for each in seen} == {member.native_id for member in started.members}
        assert all(each.state in SHOWN for each in seen), f"the second object saw {seen}"

    def test_another_process_can_query(self, rig: Rig, driver: Driver) -> None:
        started = start(driver, rig.spec(rig.kind))
        seen = query_elsewhere(rig.type, rig.settings, started.members)
        assert seen.keys() == {member.native_id for member in started.members}
        assert set(seen.values()) <= set(SHOWN), f"the second process saw {seen}"
