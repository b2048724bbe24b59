"""From accepted to ended: merge, events, delivery, waiting, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediabroker import Broker, ErrorCode, Job, JobFailedError, JobState, Transcode
from mediabroker.broker.following.passing import Pass
from mediabroker.broker.following.watching import Watcher
from mediabroker.errors import BrokerClosedError, JobNotFoundError, MediaBrokerError, StoreError, UnavailableError
from mediabroker.events import JobFailed, JobQueued, JobStarted, JobSucceeded
from mediabroker.results import Frames
from mediabroker.spi import CancelOutcome, Observation
from mediabroker.states import JobState as S
from mediabroker.store.records import JobRecord
from tests.ledger import LedgerProvider
from tests.unit.broker.conftest import HandClock, MakeBroker, next_pass, observe


def _kinds(job: Job[Any]) -> list[str]:
    return [type(event).__name__ for event in job.events(follow=False)]


def _finish(vendor: LedgerProvider, word: str = "done") -> None:
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], word)


def test_job_succeeds_only_when_its_last_member_did(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "done")
    assert job.refresh().state is JobState.RUNNING
    vendor.ledger.say("job-1", "done")
    assert job.refresh().state is JobState.SUCCEEDED
    assert job.result().outputs[0].size_bytes == 5
    assert _kinds(job) == ["JobQueued", "JobStarted", "JobSucceeded"]


def test_vendor_success_without_the_output_is_a_failure(make_broker: MakeBroker, spec: Transcode, output: Path) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    output.unlink()
    _finish(vendor)
    with pytest.raises(JobFailedError, match=r"reported success, but file://.*out.mp4 is not there") as caught:
        job.result(5)
    assert caught.value.error.code is ErrorCode.OUTPUT_MISSING


def test_empty_output_counts_as_missing(make_broker: MakeBroker, spec: Transcode, output: Path) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    output.write_bytes(b"")
    _finish(vendor)
    error = job.exception(5)
    assert error is not None
    assert error.error.code is ErrorCode.OUTPUT_MISSING


def test_failed_member_fails_the_job_with_its_error_and_raw(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "broken", reason="Host EC2 terminated")
    error = job.exception(5)
    assert error is not None
    assert error.error.raw == {"id": "job-0", "word": "broken", "reason": "Host EC2 terminated"}
    assert isinstance(list(job.events())[-1], JobFailed)


def test_evidenced_end_never_changes(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    _finish(vendor, "broken")
    assert job.refresh().state is JobState.FAILED
    _finish(vendor, "done")
    assert job.refresh().state is JobState.FAILED


def test_unlisted_vendor_word_keeps_the_state_and_becomes_the_phase(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working")
    job.refresh()
    vendor.ledger.say("job-0", "pondering")
    assert job.refresh().state is JobState.RUNNING
    assert job.phase == "pondering"


def test_vendor_retry_moves_a_running_job_back_to_the_queue(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working", attempt=1)
    assert job.refresh().state is JobState.RUNNING
    vendor.ledger.say("job-0", "waiting", attempt=1)
    assert job.refresh().state is JobState.RUNNING, "the same attempt never goes back"
    vendor.ledger.say("job-0", "waiting", attempt=2)
    assert job.refresh().state is JobState.QUEUED
    assert _kinds(job) == ["JobQueued", "JobStarted", "JobQueued"]


@pytest.mark.parametrize("total", [120, None])
def test_a_job_that_succeeded_shows_all_its_frames_as_done(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock, total: int | None
) -> None:
    broker, vendor = make_broker(steps=["only"])
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working", progress=0.8, frames={"done": 96, "total": total, "per_second": 24.0})
    clock.advance(2)
    broker.reconcile()
    vendor.ledger.say("job-0", "done")
    broker.reconcile()
    assert job.refresh().progress == 1
    assert job.frames == Frames(done=total or 96, total=total or 96)


def test_progress_never_runs_backwards_and_is_told_at_most_once_a_second(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    for progress, seconds in ((0.2, 0.1), (0.3, 0.1), (0.4, 2), (0.1, 2), (0.6, 2)):
        vendor.ledger.say("job-0", "working", progress=progress)
        job.refresh()
        clock.advance(seconds)
    told = [event.progress for event in job.events(follow=False) if hasattr(event, "progress")]
    assert told == [0.2, 0.4, 0.6]
    assert job.progress == 0.6


def test_forgotten_job_is_lost_only_after_two_answers_and_the_vendors_history(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working")
    job.refresh()
    words = vendor.ledger._words.read_text()
    vendor.ledger._words.write_text("{}")
    assert job.refresh().state is JobState.RUNNING
    clock.advance(59)
    assert job.refresh().state is JobState.RUNNING
    clock.advance(2)
    assert job.refresh().state is JobState.FAILED
    assert job.inferred
    assert job.error is not None
    assert job.error.code is ErrorCode.LOST
    vendor.ledger._words.write_text(words)


def test_late_evidence_corrects_an_inferred_end_and_says_which(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger._words.write_text("{}")
    job.refresh()
    clock.advance(61)
    assert job.refresh().inferred
    observe(broker, job.id, {"job-0": Observation(native_id="job-0", state=S.SUCCEEDED)})
    assert job.refresh().state is JobState.SUCCEEDED
    events = list(job.events(follow=False))
    lost = next(event for event in events if isinstance(event, JobFailed))
    last = events[-1]
    assert isinstance(last, JobSucceeded)
    assert last.corrects == lost.id
    assert not job.inferred


def test_events_carry_reference_user_data_and_growing_sequence(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    _finish(vendor)
    events = list(job.events())
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert {event.ref.job_id for event in events} == {job.id}
    assert all(event.user_data == {"asset": 42} for event in events)
    assert isinstance(events[0], JobQueued)
    assert any(isinstance(event, JobStarted) for event in events)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_and_any_duplicates_of_observations_come_to_the_same_end(
    make_broker: MakeBroker, spec: Transcode, data: st.DataObject
) -> None:
    truth = [
        Observation(native_id="job-0", state=S.RUNNING, vendor_attempt=1),
        Observation(native_id="job-0", state=S.QUEUED, vendor_attempt=2),
        Observation(native_id="job-0", state=S.RUNNING, vendor_attempt=2, sub_rank=1),
        Observation(native_id="job-0", state=S.SUCCEEDED, vendor_attempt=2),
    ]
    delivered = data.draw(st.lists(st.sampled_from(truth), max_size=12).map(lambda more: [*more, truth[-1]]))
    shuffled = data.draw(st.permutations(delivered))
    broker, _ = make_broker(steps=("only",), store=f"{data.draw(st.uuids())}.db")
    job = broker.submit(spec)
    ids = {member.native_id for member in job.ref.members}
    for observation in shuffled:
        observe(broker, job.id, {each: observation.model_copy(update={"native_id": each}) for each in ids})
    broker.reconcile()
    assert job.done()
    assert job.state is JobState.SUCCEEDED
    assert [type(event).__name__ for event in job.events()][-1] == "JobSucceeded"
    assert sum(isinstance(event, JobSucceeded) for event in job.events()) == 1


def test_two_brokers_that_look_at_once_tell_each_event_once(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    other, _ = make_broker()
    job = broker.submit(spec)
    _finish(vendor)
    other.reconcile()
    broker.reconcile()
    assert _kinds(job) == ["JobQueued", "JobStarted", "JobSucceeded"]


def test_wait_raises_timeout_error_and_leaves_the_job_alone(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    with pytest.raises(TimeoutError, match="it goes on"):
        job.result(timeout=0.05)
    assert job.state is JobState.QUEUED
    _finish(vendor)
    assert job.wait(5).state is JobState.SUCCEEDED


def test_wait_for_many_returns_at_the_first_or_at_all(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(steps=("only",))
    first, second = broker.submit(spec), broker.submit(spec)
    vendor.ledger.say("job-1", "done")
    some = broker.wait([first, second], timeout=5, return_when="FIRST_COMPLETED")
    assert (some.done, some.not_done) == ([second], [first])
    vendor.ledger.say("job-0", "done")
    assert broker.wait([first, second], timeout=5).not_done == []


def test_waiters_share_batched_queries(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(steps=("only",))
    jobs = [broker.submit(spec) for _ in range(30)]
    futures = [broker._watcher.future(job.id) for job in jobs]
    next_pass(broker)
    next_pass(broker)
    last = vendor.ledger.calls[-1]
    assert last.operation == "DescribeJobs"
    assert len(last.params["ids"]) == 30  # type: ignore[arg-type]  # JSON list
    _finish(vendor)
    for future in futures:
        future.result(10)


def test_refused_reads_are_asked_again_before_anybody_is_bothered(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(outages=4)
    job = broker.submit(spec)
    _finish(vendor)
    assert job.refresh().state is JobState.SUCCEEDED
    assert sum(call.operation == "DescribeJobs" for call in vendor.ledger.calls) == 5


def test_reads_that_stay_refused_are_raised_after_a_bounded_number(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(outages=1000)
    job = broker.submit(spec)
    with pytest.raises(UnavailableError):
        job.refresh()
    assert sum(call.operation == "DescribeJobs" for call in vendor.ledger.calls) == 5


def test_provider_that_cannot_be_asked_does_not_end_a_wait(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    outages = iter([UnavailableError("out of order", retryable=False)] * 2)
    real = vendor.query

    def flaky(members: Sequence[Any]) -> Any:
        if (outage := next(outages, None)) is not None:
            raise outage
        return real(members)

    monkeypatch.setattr(vendor, "query", flaky)
    with pytest.raises(UnavailableError):
        job.refresh()
    _finish(vendor)
    assert job.wait(5).state is JobState.SUCCEEDED


def test_cancel_of_a_running_job_is_asked_of_the_vendor_and_seen(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working")
    assert job.cancel() is CancelOutcome.CANCELLED
    assert job.cancelled()
    assert job.cancel() is CancelOutcome.CANCELLED
    assert _kinds(job)[-1] == "JobCancelled"
    with pytest.raises(JobFailedError) as caught:
        job.result()
    assert caught.value.error.code is ErrorCode.CANCELLED


def test_cancel_of_a_finished_job_is_too_late(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    _finish(vendor)
    job.wait(5)
    assert broker.cancel(job.id) is CancelOutcome.TOO_LATE
    assert job.refresh().state is JobState.SUCCEEDED


def test_vendor_that_finishes_first_wins_over_a_cancel(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    _finish(vendor)
    assert job.state is JobState.QUEUED, "what this process last saw"
    assert job.cancel() is CancelOutcome.TOO_LATE
    assert job.refresh().state is JobState.SUCCEEDED


def test_cancel_that_the_vendor_has_not_got_is_unsupported(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(cancel=False)
    job = broker.submit(spec)
    assert job.cancel() is CancelOutcome.UNSUPPORTED
    assert not job.refresh().cancel_requested
    assert all(call.effect != "cancel" for call in vendor.ledger.calls)


def test_cancel_while_the_outcome_is_unknown_never_sends_again(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=60)
    accepted = vendor.ledger.accepted
    monkeypatch.setattr(vendor.ledger, "accepted", list)
    job = broker.submit(spec)
    assert job.cancel() is CancelOutcome.REQUESTED
    clock.advance(61)
    assert job.refresh().state is JobState.CANCELLED
    assert len(accepted()) == 1


def test_cancel_of_a_half_submitted_chain_stops_what_was_started(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker(fault="merge:reset", settle_time_s=None)
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert job.cancel() is CancelOutcome.REQUESTED
    searchable, again = make_broker(settle_time_s=0.0)
    ended = searchable.get(job.id).refresh()
    searchable.cancel(ended)
    assert ended.refresh().state is JobState.CANCELLED
    assert {each["word"] for each in again.ledger.words().values()} == {"stopped"}


def test_unknown_job_id_is_job_not_found(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    with pytest.raises(JobNotFoundError, match="'nothing'"):
        broker.get("nothing")


def test_closed_broker_tells_whoever_waits(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker: Broker = make_broker()[0]
    job, real, watched = broker.submit(spec), broker._watcher.future, Semaphore(0)

    def noticed(job_id: str) -> Future[JobRecord]:
        future = real(job_id)
        watched.release()
        return future

    monkeypatch.setattr(broker._watcher, "future", noticed)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(job.wait), pool.submit(job.result), pool.submit(broker.wait, [job])]
        for _ in waiting:
            assert watched.acquire(timeout=20)
        broker.close()
        assert [type(each.exception(20)) for each in waiting] == [BrokerClosedError] * 3


def test_closed_broker_watches_nothing_more(make_broker: MakeBroker, spec: Transcode) -> None:
    broker: Broker = make_broker()[0]
    job = broker.submit(spec)
    broker.close()
    with pytest.raises(BrokerClosedError):
        broker._watcher.future(job.id)
    with pytest.raises(BrokerClosedError):
        next_pass(broker)


def test_follower_of_a_broker_that_was_closed_is_told(make_broker: MakeBroker, spec: Transcode) -> None:
    broker: Broker = make_broker()[0]
    events = broker.submit(spec).events()
    assert isinstance(next(events), JobQueued)
    broker.close()
    with pytest.raises(BrokerClosedError, match="closed"):
        next(events)


def test_job_of_a_provider_that_is_not_configured_is_watched_on(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    with Broker(broker._core.settings, providers={}, clock=clock) as without:
        future = without._watcher.future(job.id)
        next_pass(without)
        next_pass(without)
        _finish(vendor)
        broker.reconcile()
        assert future.result(20).state is JobState.SUCCEEDED


def test_pass_that_fails_is_followed_by_another(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    troubles, run = iter([StoreError("the disk is gone"), LookupError("a defect")]), Pass.run

    def flaky(passing: Pass) -> Sequence[MediaBrokerError]:
        if (trouble := next(troubles, None)) is not None:
            raise trouble
        return run(passing)

    monkeypatch.setattr(Pass, "run", flaky)
    _finish(vendor)
    assert broker._watcher.future(job.id).result(20).state is JobState.SUCCEEDED


def test_watcher_that_has_died_is_started_again(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    dead = Thread(target=lambda: None)
    dead.start()
    dead.join()
    broker._watcher._thread = dead
    _finish(vendor)
    assert broker._watcher.future(job.id).result(20).state is JobState.SUCCEEDED


def test_watcher_may_end_while_it_is_closed(make_broker: MakeBroker) -> None:
    class Ending(Watcher):
        """Its thread is gone as soon as somebody has looked at it."""

        @property
        def _thread(self) -> Thread | None:  # type: ignore[override]  # what is an attribute elsewhere
            seen, self.seen = self.seen, None
            return seen

        @_thread.setter
        def _thread(self, thread: Thread | None) -> None:
            self.seen = thread

    watcher = Ending(make_broker()[0]._core)
    watcher.seen = Thread(target=lambda: None)
    watcher.seen.start()
    watcher.close()


def test_wait_for_pass_does_not_take_one_that_had_begun_before(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    job, real, waited = broker.submit(spec), vendor.query, Event()
    queries, seen = [0], list[int]()

    def wait() -> None:
        next_pass(broker)
        seen.append(queries[0])
        waited.set()

    def query(members: Sequence[Any]) -> Any:
        queries[0] += 1
        if queries[0] == 1:
            Thread(target=wait).start()
            while not broker._watcher._passes:
                Event().wait(0.001)
        return real(members)

    monkeypatch.setattr(vendor, "query", query)
    future = broker._watcher.future(job.id)
    assert waited.wait(20)
    assert seen[0] >= 2
    future.cancel()
