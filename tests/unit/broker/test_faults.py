"""What one failing query, a throttle, a changed setting or a lost answer may do to a job, and to others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from mediabroker import Broker, InvalidJobError, JobNotFoundError, JobState, Transcode
from mediabroker.broker.following.passing import Pass, Suspects
from mediabroker.config import BrokerSettings
from mediabroker.errors import (
    ConfigurationError,
    IdempotencyConflictError,
    MissingDependencyError,
    ProviderError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.spi import Call, CancelOutcome, Flow, Member, Observation, Reply, SubmitContext
from mediabroker.store.schema import inbox
from tests.ledger import LedgerProvider
from tests.unit.broker.conftest import HandClock, MakeBroker


def finish(vendor: LedgerProvider) -> None:
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], "done")


class OneBadJob(LedgerProvider):
    """Its query fails as a whole as soon as it names one certain job."""

    bad = "job-3"
    error: Exception = ProviderError("internal error")

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        if any(each.native_id == self.bad for each in members):
            raise self.error
        return (yield from super().query(members))


@pytest.mark.parametrize("error", [ProviderError("internal error"), KeyError("a defect")])
def test_a_job_whose_query_always_fails_holds_up_no_other(
    tmp_path: Path, spec: Transcode, clock: HandClock, error: Exception
) -> None:
    vendor = OneBadJob("ledger", {"folder": tmp_path / "vendor", "steps": ["only"]})
    vendor.error = error
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        jobs = [broker.submit(spec) for _ in range(20)]
        finish(vendor)
        with pytest.raises(ProviderError):
            broker.reconcile()
        assert [job.done() for job in jobs] == [number != 3 for number in range(20)]
        vendor.bad = ""
        broker.reconcile()
        assert jobs[3].done()


def test_a_job_whose_query_failed_is_queried_alone_from_then_on(
    tmp_path: Path, spec: Transcode, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = OneBadJob("ledger", {"folder": tmp_path / "vendor", "steps": ["only"]})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        for _ in range(20):
            broker.submit(spec)
        suspects: Suspects = set()
        Pass(broker._core, suspects=suspects).run()
        assert suspects == {("ledger", "job-3")}
        vendor.ledger.calls.clear()
        Pass(broker._core, suspects=suspects).run()
        assert len(vendor.ledger.calls) == 1, "the others share one query; the bad one reached no vendor"


def test_a_provider_that_is_out_of_order_is_not_queried_for_each_job(
    tmp_path: Path, spec: Transcode, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor", "steps": ["only"]})
    asked: list[int] = []

    def refuse(members: Sequence[Member]) -> Flow[list[Observation]]:
        asked.append(len(members))
        raise UnavailableError("down")

    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        for _ in range(20):
            broker.submit(spec)
        monkeypatch.setattr(vendor, "query", refuse)
        suspects: Suspects = set()
        Pass(broker._core, suspects=suspects).run()
        assert asked == [20, 1, 1, 1]
        assert suspects == set()


def test_an_unchanged_pass_over_100_jobs_takes_few_statements_and_writes_nothing(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, _ = make_broker()
    for _ in range(100):
        broker.submit(spec)
    broker.reconcile()
    said: list[str] = []
    event.listen(broker._core.store._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    broker.reconcile()
    assert len(said) <= 20
    assert not [each for each in said if each.startswith(("UPDATE", "INSERT", "DELETE", "BEGIN IMMEDIATE"))]


def test_a_submit_with_one_create_is_two_commits(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker(steps=("only",))
    commits: list[str] = []
    event.listen(
        broker._core.store._engine,
        "before_cursor_execute",
        lambda *args: commits.append(args[2]) if args[2] == "BEGIN IMMEDIATE" else None,
    )
    broker.submit(spec)
    assert len(commits) == 2


class Throttling(LedgerProvider):
    """Rejects every `SubmitJob` of some steps, for now."""

    rejected: tuple[str, ...] = ()
    error: Exception = ThrottledError("slow down", retry_after_s=0.001)

    def connect(self, service: str) -> Any:
        wire, vendor = super().connect(service), self

        class Wire:
            def perform(self, call: Call[Any]) -> Reply:
                if call.step in vendor.rejected:
                    raise vendor.error
                return wire.perform(call)

            def close(self) -> None:
                return None

        return Wire()


@pytest.mark.parametrize("step", ["array", "merge"])
def test_a_throttled_submit_waits_and_is_sent_later_under_its_key(
    tmp_path: Path, spec: Transcode, clock: HandClock, step: str
) -> None:
    vendor = Throttling("ledger", {"folder": tmp_path / "vendor"})
    vendor.rejected = (step,)
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(spec, idempotency_key="k")
        for _ in range(3):
            assert job.refresh().state is JobState.SUBMITTING
            clock.advance(120)
        assert "rejects SubmitJob for now: slow down" in str(job.hold_reason)
        assert not [word for word in vendor.ledger.words().values() if word["word"] == "stopped"]
        vendor.rejected = ()
        assert job.refresh().state is JobState.QUEUED
        assert broker.submit(spec, idempotency_key="k") == job
        assert [each["step"] for each in vendor.ledger.accepted()] == ["array", "merge"]


def test_a_throttled_submit_ends_with_its_deadline_or_with_a_cancel(
    tmp_path: Path, spec: Transcode, clock: HandClock
) -> None:
    vendor = Throttling("ledger", {"folder": tmp_path / "vendor"})
    vendor.rejected = ("array",)
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        late, unwanted = broker.submit(spec, deadline=60), broker.submit(spec)
        assert unwanted.cancel() is CancelOutcome.CANCELLED
        clock.advance(61)
        assert late.refresh().state is JobState.FAILED
        assert late.error is not None
        assert late.error.code == "DEADLINE"


def test_a_held_submission_is_tried_later_each_time(tmp_path: Path, spec: Transcode, clock: HandClock) -> None:
    vendor = Throttling("ledger", {"folder": tmp_path / "vendor"})
    vendor.rejected = ("array",)
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(spec)
        pauses = []
        for _ in range(8):
            row = broker._access.attempt(job.id).row
            assert row.resume_at is not None
            pauses.append((row.resume_at - clock.now()).total_seconds())
            clock.advance(61)
            job.refresh()
        assert pauses[0] <= 1
        assert 30 <= pauses[-1] <= 60


def test_a_changed_setting_does_not_strand_an_unknown_submit(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(fault="only:reset", steps=("only",), outages=10)
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    changed, again = make_broker(queue="q2", steps=("only",))
    found = changed.get(job.id).refresh()
    assert found.state is JobState.QUEUED, "searched for by the journalled call"
    assert len(vendor.ledger.accepted()) == 1
    assert changed.cancel(found) is CancelOutcome.CANCELLED
    assert again.ledger.words()["job-0"]["word"] == "stopped"


def test_a_changed_setting_starts_nothing_new_names_itself_and_a_cancel_ends_what_was_accepted(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="array:reset", outages=10)
    job = broker.submit(spec)
    changed, again = make_broker(queue="q2")
    held = changed.get(job.id).refresh()
    assert held.state is JobState.SUBMITTING
    assert "another queue: a setting of ledger was changed" in str(held.hold_reason)
    assert [each["step"] for each in vendor.ledger.accepted()] == ["array"]
    changed.cancel(held)
    assert held.refresh().state is JobState.CANCELLED
    assert again.ledger.words()["job-0"]["word"] == "stopped"


class Lagging(LedgerProvider):
    """Its list does not show new jobs as long as it lags."""

    lags = True

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        found = yield from super().find(ctx, call)
        return [] if self.lags else found


def test_the_second_job_of_a_resent_create_is_found_late_stored_and_cancelled(
    tmp_path: Path, spec: Transcode, clock: HandClock
) -> None:
    vendor = Lagging("ledger", {"folder": tmp_path / "vendor", "steps": ["only"], "settle_time_s": 60})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        start, answers = vendor.ledger.start, iter(["only:reset"])
        vendor.ledger.start = lambda call, fault: start(call, next(answers, ""))  # type: ignore[method-assign]  # loses one
        job = broker.submit(spec)
        clock.advance(61)
        assert job.refresh().state is JobState.QUEUED, "sent again: two searches found nothing"
        assert [each["word"] for each in vendor.ledger.words().values()] == ["waiting", "waiting"]
        vendor.lags = False
        clock.advance(61)
        job.refresh()
        assert [vendor.ledger.words()[each]["word"] for each in ("job-0", "job-1")] == ["stopped", "waiting"]
        assert [each.native_id for each in job.ref.members] == ["job-1"]
        with broker._core.store.read() as tx:
            kept = tx.execute(select(inbox.c.native_id).where(inbox.c.outcome == "duplicate")).scalars().all()
        assert kept == ["job-0"]
        clock.advance(86400)
        job.refresh()
        assert broker._access.attempt(job.id).row.late_search_at is None, "after a day it is searched for no more"


def test_cancel_does_not_move_a_running_job_back_to_the_queue_nor_repeat_an_event(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(steps=("only",))
    job = broker.submit(spec)
    vendor.ledger.say("job-0", "working", attempt=1)
    job.refresh()
    vendor.ledger.say("job-0", "waiting", attempt=2)
    vendor_cancel = vendor.cancel
    vendor.cancel = lambda members: iter_requested()  # type: ignore[method-assign]  # accepted, and not done yet
    assert job.cancel() is CancelOutcome.REQUESTED
    assert job.refresh().state is JobState.RUNNING
    vendor.cancel = vendor_cancel  # type: ignore[method-assign]
    kinds = [type(each).__name__ for each in job.events(follow=False)]
    assert kinds == ["JobQueued", "JobStarted"]


def iter_requested() -> Flow[CancelOutcome]:
    yield from ()
    return CancelOutcome.REQUESTED


def test_retry_makes_a_new_job_of_the_old_ones_spec_and_both_name_each_other(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(steps=("only",))
    old = broker.submit(spec, idempotency_key="k", deadline=3600)
    with pytest.raises(InvalidJobError, match="is QUEUED; only one that has FAILED or was CANCELLED"):
        broker.retry(old)
    vendor.ledger.say("job-0", "broken")
    old.wait(5)
    new = old.retry()
    assert (new.spec, new.retry_of, old.retried_by) == (old.spec, old.id, (new.id,))
    assert broker.retry(old.id) == new, "a retry that is called twice is one job"
    assert broker.submit(spec, idempotency_key="k") == old, "the old key names the old job still"
    assert new.deadline_at is not None


def test_a_job_is_found_by_its_idempotency_key(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    job = broker.submit(spec, idempotency_key="k")
    assert broker.get(key="k") == job
    with pytest.raises(JobNotFoundError, match="'other'"):
        broker.get(key="other")
    with pytest.raises(InvalidJobError, match="not both"):
        broker.get(job.id, key="k")


def test_a_key_conflict_names_the_fields_that_differ(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    broker.submit(spec, idempotency_key="k")
    with pytest.raises(IdempotencyConflictError, match="asked for something else: segment_s differ"):
        broker.submit(spec.model_copy(update={"segment_s": 4.0}), idempotency_key="k")


def test_handles_of_one_job_are_equal(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    job, other = broker.submit(spec), broker.submit(spec)
    assert job == broker.get(job.id)
    assert len({job, broker.get(job.id), other}) == 2


@pytest.mark.parametrize(
    "error", [ConfigurationError("api_key: none is configured"), MissingDependencyError("pip install x")]
)
def test_what_could_not_be_sent_for_a_wrong_setting_is_not_unknown_and_is_sent_once_it_is_right(
    tmp_path: Path, spec: Transcode, clock: HandClock, error: Exception
) -> None:
    vendor = Throttling("ledger", {"folder": tmp_path / "vendor", "settle_time_s": None})
    vendor.rejected, vendor.error = ("array",), error
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with Broker(settings, providers={"ledger": vendor}, clock=clock) as broker:
        job = broker.submit(spec)
        assert (job.state, job.phase) == (JobState.SUBMITTING, None)
        assert str(job.hold_reason) == f"ledger cannot send SubmitJob: {error}"
        vendor.rejected = ()
        clock.advance(120)
        assert job.refresh().state is JobState.QUEUED
