"""Deadline and queue timeout: what has taken too long is stopped, and fails for the reason that it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, ErrorCode, InvalidJobError, Job, JobState, Transcode, UnsupportedError
from mediabroker.broker.attempt.limits import stop_reason
from mediabroker.config import BrokerSettings
from mediabroker.events import JobAttemptFailed
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, CancelOutcome, Flow
from mediabroker.store import attempts
from tests.ledger import LedgerProvider
from tests.stores import BucketFolders
from tests.unit.broker.conftest import HandClock, MakeBroker

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def say(vendor: LedgerProvider, word: str) -> None:
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], word)


def cancels(vendor: LedgerProvider) -> int:
    return sum(call.effect == "cancel" for call in vendor.ledger.calls)


def code_of(job: Job[Any]) -> ErrorCode | None:
    return job.error.code if job.error else None


def test_a_job_past_its_deadline_is_stopped_and_fails_with_it(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec, deadline=HOUR)
    say(vendor, "working")
    clock.advance(3599)
    assert job.refresh().state is JobState.RUNNING
    clock.advance(1)
    broker.reconcile()
    assert {each["word"] for each in vendor.ledger.words().values()} == {"stopped"}
    broker.reconcile()
    assert job.refresh().state is JobState.FAILED
    assert code_of(job) is ErrorCode.DEADLINE
    assert job.error is not None
    assert "2026-01-01 01:00:00 UTC" in job.error.message
    assert (job.error.blame, job.cancel_requested, job.cancelled()) == ("caller", False, False)


def test_a_waiter_keeps_the_deadline_without_anybody_asking(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, _vendor = make_broker()
    job = broker.submit(spec, deadline=HOUR)
    clock.advance(3600)
    assert job.wait(20).state is JobState.FAILED
    assert code_of(job) is ErrorCode.DEADLINE


def test_what_the_vendor_has_finished_stands_however_late_it_is_seen(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec, deadline=HOUR)
    say(vendor, "done")
    clock.advance(86400)
    broker.reconcile()
    assert job.refresh().state is JobState.SUCCEEDED
    assert cancels(vendor) == 0


class TakingItsTime(LedgerProvider):
    """Stops a job long after it was asked to."""

    def cancel(self, members: Any) -> Flow[CancelOutcome]:
        self.asked = [*getattr(self, "asked", ()), members]
        yield from ()
        return CancelOutcome.REQUESTED


def test_a_vendor_that_takes_its_time_is_asked_once_a_minute(tmp_path: Path, spec: Transcode, clock: HandClock) -> None:
    vendor = TakingItsTime("ledger", {"folder": tmp_path / "vendor"})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(spec, deadline=MINUTE)
        clock.advance(60)
        for _ in range(12):
            broker.reconcile()
            clock.advance(10)
        assert job.refresh().state is JobState.QUEUED
        assert len(vendor.asked) == 2 + 1
        say(vendor, "stopped")
        assert job.refresh().state is JobState.FAILED
        assert code_of(job) is ErrorCode.DEADLINE


def test_a_submission_that_never_got_through_ends_with_its_deadline(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(settle_time_s=30, fault="array:unheard")
    job = broker.submit(spec, deadline=HOUR)
    assert (job.state, job.hold_reason is not None) == (JobState.SUBMITTING, True)
    clock.advance(3600)
    broker.reconcile()
    assert (job.refresh().state, code_of(job)) == (JobState.FAILED, ErrorCode.DEADLINE)
    assert [call.operation for call in vendor.ledger.calls].count("SubmitJob") == 1, "it is not sent again"


def test_what_cannot_be_submitted_for_an_outage_ends_with_its_deadline(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    circuit = broker._core.caller._circuit("ledger", Call("ledger", "SubmitJob", {}))
    for _ in range(10):
        circuit.nobody_there()
    job = broker.submit(spec, deadline=HOUR)
    assert job.state is JobState.SUBMITTING
    clock.advance(3600)
    assert code_of(job.refresh()) is ErrorCode.DEADLINE
    assert vendor.ledger.calls == []


def test_a_job_found_again_after_its_deadline_is_stopped(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=["only"], fault="only:reset", settle_time_s=None)
    job = broker.submit(spec, deadline=HOUR)
    assert job.state is JobState.SUBMITTING
    clock.advance(3600)
    make_broker(steps=["only"], settle_time_s=0)[0].reconcile()
    assert vendor.ledger.words() == {"job-0": {"word": "stopped"}}
    broker.reconcile()
    assert code_of(job.refresh()) is ErrorCode.DEADLINE
    assert len(vendor.ledger.accepted()) == 1


def test_a_cancel_of_what_is_found_later_is_asked_of_the_vendor_then(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=["only"], fault="only:reset", settle_time_s=None)
    job = broker.submit(spec)
    assert job.cancel() is CancelOutcome.REQUESTED
    other, _ = make_broker(steps=["only"], settle_time_s=0)
    other.reconcile()
    assert vendor.ledger.words() == {"job-0": {"word": "stopped"}}
    other.reconcile()
    assert job.refresh().state is JobState.CANCELLED


@pytest.fixture
def two(tmp_path: Path, clock: HandClock) -> Iterator[tuple[Broker, LedgerProvider, LedgerProvider]]:
    """A broker over two vendors, `one` and `two`."""
    one, two = (LedgerProvider(name, {"folder": tmp_path / name, "steps": ["only"]}) for name in ("one", "two"))
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"one": one, "two": two}, clock=clock) as broker:
        yield broker, one, two


Two = tuple[Broker, LedgerProvider, LedgerProvider]


def test_another_provider_follows_one_that_has_not_begun_in_time(two: Two, spec: Transcode, clock: HandClock) -> None:
    broker, one, other = two
    job = broker.submit(spec, provider=["one", "two"], queue_timeout=10 * MINUTE)
    clock.advance(600)
    broker.reconcile()
    assert one.ledger.words() == {"job-0": {"word": "stopped"}}
    broker.reconcile()
    assert job.refresh().state is JobState.QUEUED
    story = [(each.provider, each.state, each.error.code if each.error else None) for each in job.attempts]
    assert story == [("one", JobState.FAILED, ErrorCode.CAPACITY), ("two", JobState.QUEUED, None)]
    failed = next(each for each in job.events(follow=False) if isinstance(each, JobAttemptFailed))
    assert failed.error.message == "one has not begun it within 600 s"
    clock.advance(599)
    broker.reconcile()
    assert other.ledger.words() == {"job-0": {"word": "waiting"}}, "each attempt has its own time"
    say(other, "done")
    assert job.result(20).outputs[0].uri == spec.output


def test_a_job_that_has_begun_does_not_time_out_in_the_queue(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec, queue_timeout=10 * MINUTE)
    say(vendor, "working")
    broker.reconcile()
    clock.advance(86400)
    broker.reconcile()
    assert job.refresh().state is JobState.RUNNING
    assert cancels(vendor) == 0


def test_a_job_that_comes_back_into_the_queue_has_its_time_anew(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=["only"])
    job = broker.submit(spec, queue_timeout=10 * MINUTE)
    vendor.ledger.say("job-0", "working")
    broker.reconcile()
    clock.advance(3600)
    vendor.ledger.say("job-0", "waiting", attempt=1)
    broker.reconcile()
    clock.advance(599)
    broker.reconcile()
    assert (job.refresh().state, cancels(vendor)) == (JobState.QUEUED, 0)
    clock.advance(1)
    broker.reconcile()
    broker.reconcile()
    assert code_of(job.refresh()) is ErrorCode.CAPACITY


def test_no_attempt_begins_after_the_deadline(two: Two, spec: Transcode, clock: HandClock) -> None:
    broker, one, other = two
    job = broker.submit(spec, provider=["one", "two"], deadline=HOUR)
    say(one, "broken")
    clock.advance(3600)
    broker.reconcile()
    assert (job.refresh().state, code_of(job)) == (JobState.FAILED, ErrorCode.PROVIDER_INTERNAL)
    assert other.ledger.accepted() == []


def test_a_deadline_ends_the_copying_of_an_input(tmp_path: Path, spec: Transcode, clock: HandClock) -> None:
    (tmp_path / "in.mp4").write_bytes(b"video")
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor", "schemes": ["s3"]})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", staging={"s3": "s3://bucket/staging/"})
    buckets = BucketFolders(tmp_path / "buckets")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        broker._core.stores._open["s3"] = buckets

        def let_an_hour_pass(moment: str, uri: MediaURI) -> None:
            clock.advance(3600)

        buckets.hook = let_an_hour_pass
        job = broker.submit(spec.model_copy(update={"overwrite": True}), deadline=HOUR)
        assert (job.state, code_of(job)) == (JobState.FAILED, ErrorCode.DEADLINE)
        assert vendor.ledger.accepted() == []
        assert buckets.names("staging") == []


def test_the_limits_of_the_first_submit_stand(make_broker: MakeBroker, spec: Transcode, clock: HandClock) -> None:
    broker, _ = make_broker()
    first = broker.submit(spec, idempotency_key="k", deadline=HOUR, queue_timeout=MINUTE)
    clock.advance(60)
    again = broker.submit(spec, idempotency_key="k", deadline=2 * HOUR)
    assert again.id == first.id
    assert (again.deadline_at, again.queue_timeout) == (clock.now() + HOUR - MINUTE, MINUTE)


def test_limits_that_the_provider_cannot_keep_are_refused(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(cancel=False)
    for limit in ({"deadline": HOUR}, {"queue_timeout": HOUR}):
        with pytest.raises(UnsupportedError, match="ledger cannot stop a job"):
            broker.submit(spec, **limit)
        with pytest.raises(UnsupportedError, match="ledger cannot stop a job"):
            broker.plan(spec, **limit)
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


@pytest.mark.parametrize("name", ["deadline", "queue_timeout"])
def test_a_limit_that_is_not_longer_than_zero_is_refused_by_its_name(
    make_broker: MakeBroker, spec: Transcode, name: str
) -> None:
    broker, _ = make_broker()
    with pytest.raises(InvalidJobError, match=f"{name}: must be longer than zero, got 0:00:00"):
        broker.submit(spec, **{name: timedelta(0)})
    assert list(broker.list()) == []


@pytest.mark.parametrize("name", ["deadline", "queue_timeout"])
@pytest.mark.parametrize("given", [True, "6h"])
def test_a_limit_that_is_no_timedelta_is_refused_by_its_name(
    make_broker: MakeBroker, spec: Transcode, name: str, given: Any
) -> None:
    broker, _ = make_broker()
    with pytest.raises(
        InvalidJobError,
        match=rf"{name}: {given!r} is no length of time; give seconds, or a timedelta such as timedelta\(hours=6",
    ):
        broker.submit(spec, **{name: given})
    assert list(broker.list()) == []


def test_an_attempt_that_was_asked_to_stop_without_a_limit_is_cancelled(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    with broker._core.store.write() as tx:
        attempts.update_attempt(tx, attempts.all_of(tx, job.id)[-1], {"stop_asked_at": clock.now()})
    say(vendor, "stopped")
    assert job.refresh().state is JobState.CANCELLED


class Grudging(LedgerProvider):
    """Takes note of a cancel once, and refuses to hear of it again."""

    def cancel(self, members: Any) -> Flow[CancelOutcome]:
        self.asked = getattr(self, "asked", 0) + 1
        yield from ()
        return CancelOutcome.REQUESTED if self.asked == 1 else CancelOutcome.UNSUPPORTED


def test_a_cancel_that_was_taken_note_of_is_not_withdrawn(tmp_path: Path, spec: Transcode, clock: HandClock) -> None:
    vendor = Grudging("ledger", {"folder": tmp_path / "vendor"})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(spec)
        for _ in range(2):
            clock.advance(61)
            assert job.cancel() is CancelOutcome.REQUESTED
        assert job.refresh().cancel_requested
        say(vendor, "stopped")
        assert job.refresh().state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("held", "retryable"),
    [("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", True), ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", False)],
)
def test_a_job_that_waits_too_long_fails_with_the_vendors_reason_and_a_wrong_setup_is_not_retried(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock, held: str, retryable: bool
) -> None:
    broker, _ = make_broker()
    job = broker.submit(spec, queue_timeout=10 * MINUTE)
    with broker._core.store.read() as tx:
        loaded = attempts.load_one(tx, job.id)
    assert loaded is not None
    attempt = replace(loaded.attempts[-1], stop_asked_at=clock.now())
    error = stop_reason(replace(loaded.job, hold_reason=held), attempt, clock.now())
    assert error is not None
    assert error.message == f"ledger has not begun it within 600 s ({held})"
    assert (error.code, error.retryable) == (ErrorCode.CAPACITY, retryable)
