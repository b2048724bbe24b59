"""Submit: the intent first, one job a key, every refusal typed, every lost answer settled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import select

from mediabroker import (
    ErrorCode,
    IdempotencyConflictError,
    InboundMessage,
    InvalidJobError,
    JobFailedError,
    JobState,
    Snapshot,
    Transcode,
    UnsupportedError,
)
from mediabroker.broker.attempt.intent import fingerprint
from mediabroker.errors import AuthenticationError, ConfigurationError
from mediabroker.spi import Call, CancelOutcome, Flow, ProviderOptions, Reply, SubmitContext
from mediabroker.store.schema import inbox
from tests.ledger import LedgerOptions, notice
from tests.unit.broker.conftest import HandClock, MakeBroker


def test_submit_starts_every_step_once_and_queues_the_job(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    assert job.state is JobState.QUEUED
    assert [each["step"] for each in vendor.ledger.accepted()] == ["array", "merge"]
    assert vendor.ledger.accepted()[1]["after"] == ["job-0"]
    assert [(each.role, each.native_id) for each in job.ref.members] == [("array", "job-0"), ("merge", "job-1")]


def test_same_key_gives_the_same_job_and_starts_nothing_again(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    first = broker.submit(spec, idempotency_key="k")
    other_process, _ = make_broker()
    assert other_process.submit(spec, idempotency_key="k").id == first.id
    assert len(vendor.ledger.accepted()) == 2


def test_same_key_from_many_threads_is_one_job(make_broker: MakeBroker, spec: Transcode) -> None:
    brokers = [make_broker()[0] for _ in range(3)]
    vendor = make_broker()[1]
    barrier = Barrier(9)

    def submit(number: int) -> str:
        barrier.wait()
        return brokers[number % 3].submit(spec, idempotency_key="k").id

    with ThreadPoolExecutor(9) as pool:
        ids = set(pool.map(submit, range(9)))
    brokers[0].reconcile()
    assert len(ids) == 1
    assert len(vendor.ledger.accepted()) == 2


def test_same_key_for_another_request_is_a_conflict_and_calls_nobody(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    broker.submit(spec, idempotency_key="k")
    before = len(vendor.ledger.calls)
    with pytest.raises(IdempotencyConflictError, match="'k'"):
        broker.submit(spec.model_copy(update={"segment_s": 4.0}), idempotency_key="k")
    assert len(vendor.ledger.calls) == before


def test_key_is_free_again_only_after_its_retention(make_broker: MakeBroker, spec: Transcode, clock: HandClock) -> None:
    broker, vendor = make_broker()
    first = broker.submit(spec, idempotency_key="k")
    clock.advance(90 * 86400)
    assert broker.submit(spec, idempotency_key="k").id == first.id, "a living job keeps its key for ever"
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], "done")
    first.result(5)
    clock.advance(29 * 86400)
    assert broker.submit(spec, idempotency_key="k").id == first.id
    clock.advance(2 * 86400)
    assert broker.submit(spec, idempotency_key="k").id != first.id


@pytest.mark.parametrize("key", ["", "x" * 257, "a\nb", 5, b"k"])
def test_unusable_key_is_refused_before_anything_is_stored(make_broker: MakeBroker, spec: Transcode, key: Any) -> None:
    broker, vendor = make_broker()
    with pytest.raises(InvalidJobError, match="idempotency_key"):
        broker.submit(spec, idempotency_key=key)
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


@pytest.mark.parametrize(
    "behaviour", [{}, {"schemes": ["s3"], "settings": {"staging": {"s3": "s3://staging/jobs"}}}], ids=["read", "staged"]
)
def test_a_local_input_that_does_not_exist_is_refused_alike_and_nothing_is_stored(
    make_broker: MakeBroker, spec: Transcode, behaviour: dict[str, Any]
) -> None:
    broker, vendor = make_broker(**behaviour)
    spec.input.path.unlink()
    for ask in (broker.plan, broker.submit):
        with pytest.raises(InvalidJobError, match=r"input: .*in\.mp4 does not exist"):
            ask(spec)
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


def test_a_retry_of_a_job_whose_input_is_gone_is_refused_and_stores_nothing(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, _ = make_broker(steps=("only",), fault="only:refuse")
    job = broker.submit(spec)
    assert job.state is JobState.FAILED
    spec.input.path.unlink()
    with pytest.raises(InvalidJobError, match=r"input: .*in\.mp4 does not exist"):
        broker.retry(job)
    assert [each.id for each in broker.list()] == [job.id]


def test_a_key_finds_its_job_also_after_its_input_was_removed(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec, idempotency_key="k")
    calls = len(vendor.ledger.calls)
    spec.input.path.unlink()
    assert broker.submit(spec, idempotency_key="k").id == job.id
    assert len(vendor.ledger.calls) == calls


def test_fingerprint_ignores_defaults_and_order_but_no_value(spec: Transcode) -> None:
    same = Transcode.model_validate({**spec.model_dump(mode="json"), "container": "mp4"})
    assert fingerprint(same, []) == fingerprint(spec, [])
    assert fingerprint(spec.model_copy(update={"overwrite": True}), []) != fingerprint(spec, [])
    assert fingerprint(spec, [LedgerOptions(priority=1)]) != fingerprint(spec, [])


def test_fingerprint_of_a_known_request_never_changes_between_releases() -> None:
    spec = Transcode(input="file:///a.mp4", output="file:///b.mp4", segment_s=4)
    assert fingerprint(spec, []) == "1:c749ca217beb00edb5bd129db5b0bfbb2ad1648ad6116234065f5b4d928cd457"


def test_unsupported_kind_is_refused_with_no_call_and_nothing_stored(make_broker: MakeBroker) -> None:
    broker, vendor = make_broker()
    with pytest.raises(UnsupportedError, match=r"ledger does not run snapshot; it runs transcode"):
        broker.submit(Snapshot(input="a.mp4", output="b.png"))
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


def test_a_scheme_that_cannot_be_staged_names_the_uri_and_the_setting(make_broker: MakeBroker) -> None:
    broker, vendor = make_broker(schemes=["s3"])
    with pytest.raises(UnsupportedError, match=r"does not read file:// \(input file:///.*set staging.s3 or providers"):
        broker.submit(Transcode(input="a.mp4", output="s3://bucket/o.mp4"))
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


def test_options_of_a_provider_not_in_play_are_an_error(make_broker: MakeBroker, spec: Transcode) -> None:
    class OtherOptions(ProviderOptions, frozen=True):
        provider = "other"

    broker, vendor = make_broker()
    with pytest.raises(UnsupportedError, match=r"OtherOptions belongs to provider type 'other'.*\(ledger\)"):
        broker.submit(spec, options=[OtherOptions()])
    assert vendor.ledger.calls == []


def test_unknown_provider_instance_is_a_configuration_error(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    with pytest.raises(ConfigurationError, match="'tokyo' is configured; there are: ledger"):
        broker.submit(spec, provider="tokyo")


def test_refusal_fails_the_job_with_the_vendors_words_and_leaves_no_orphan(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="merge:refuse")
    job = broker.submit(spec)
    assert job.state is JobState.FAILED
    with pytest.raises(JobFailedError) as caught:
        job.result()
    assert caught.value.error.provider_code == "ClientException"
    assert caught.value.error.request_id == "r-1"
    assert caught.value.ref == str(job.ref)
    assert vendor.ledger.words() == {"job-0": {"word": "stopped"}}, "the first step was cancelled by the flow"


def test_throttled_create_is_sent_again_under_the_same_token(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(fault="array:throttle")
    assert broker.submit(spec).state is JobState.QUEUED
    names = [call.params["name"] for call in vendor.ledger.calls if call.step == "array"]
    assert len(names) == 3
    assert len(set(names)) == 1
    assert len(vendor.ledger.accepted()) == 2


@pytest.mark.parametrize("fault", ["array:reset", "merge:reset", "array:no-id", "merge:no-id"])
def test_lost_answer_is_settled_by_search_without_a_second_job(
    make_broker: MakeBroker, spec: Transcode, fault: str
) -> None:
    broker, vendor = make_broker(fault=fault)
    job = broker.submit(spec)
    assert job.state is JobState.QUEUED
    assert [each["step"] for each in vendor.ledger.accepted()] == ["array", "merge"]


def test_lost_answer_on_an_unsearchable_vendor_is_a_visible_hold_and_never_sent_again(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None)
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert job.phase == "unknown"
    assert "cannot be searched" in str(job.hold_reason)
    for _ in range(3):
        broker.reconcile()
    assert len(vendor.ledger.accepted()) == 1


def test_a_callback_with_the_token_ends_the_hold_on_an_unsearchable_vendor(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None, steps=("array",))
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert broker.ingest(InboundMessage(notice(vendor.ledger, "job-0"), "queue", "1", "r")).outcome == "taken"
    assert job.refresh().state is JobState.QUEUED
    assert [each.native_id for each in job.ref.members] == ["job-0"]
    assert len(vendor.ledger.accepted()) == 1


def test_resubmitting_an_unsearchable_create_is_opt_in_and_happens_once(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None, steps=("array",))
    job = broker.submit(spec, options=[LedgerOptions(on_unknown="resubmit")])
    for _ in range(3):
        broker.reconcile()
    assert len(vendor.ledger.accepted()) == 2, "sent again, and only once: its answer was lost, too"
    assert "sent 2 times" in str(job.refresh().hold_reason)
    with broker._core.store.read() as tx:
        kept = list(tx.execute(select(inbox.c.observation).where(inbox.c.outcome == "resubmitted")).scalars())
    assert [each["phase"] for each in kept] == ["a second job is possible"]


def test_a_search_that_fails_is_a_hold_and_no_refusal(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(fault="array:reset", outages=6)
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert "cannot be asked what became of SubmitJob" in str(job.hold_reason)
    assert job.refresh().state is JobState.QUEUED
    assert [each["step"] for each in vendor.ledger.accepted()] == ["array", "merge"]


@pytest.mark.parametrize("trouble", [AuthenticationError("denied"), ConnectionResetError("the answer was lost"), None])
def test_duplicates_that_cannot_be_cancelled_are_named_and_the_job_goes_on(
    make_broker: MakeBroker,
    spec: Transcode,
    trouble: Exception | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker, vendor = make_broker(fault="only:reset", steps=("only",))
    find = vendor.find

    def find_two(ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        found = yield from find(ctx, call)
        return [*found, {"jobId": "job-9"}]

    def cancel(members: Any) -> Flow[CancelOutcome]:
        yield from ()
        if trouble is not None:
            raise trouble
        return CancelOutcome.UNSUPPORTED

    monkeypatch.setattr(vendor, "find", find_two)
    monkeypatch.setattr(vendor, "cancel", cancel)
    job = broker.submit(spec)
    assert (job.state, job.error) == (JobState.QUEUED, None)
    assert [member.native_id for member in job.ref.members] == ["job-0"]
    assert [
        each.getMessage() for each in caplog.records if "go on" in each.getMessage() and "job-9" in each.getMessage()
    ]


def test_search_that_lags_is_asked_twice_a_settle_time_apart_before_sending_again(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=60)
    real = vendor.ledger.accepted
    monkeypatch.setattr(vendor.ledger, "accepted", list)
    job = broker.submit(spec)
    assert "searched for again in 60 s" in str(job.hold_reason)
    clock.advance(59)
    assert job.refresh().state is JobState.SUBMITTING
    monkeypatch.setattr(vendor.ledger, "accepted", real)
    clock.advance(2)
    assert job.refresh().state is JobState.QUEUED
    assert [each["step"] for each in real()] == ["array", "merge"], "the late hit was adopted"


def test_another_flow_version_is_a_visible_hold_not_a_new_create(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None)
    job = broker.submit(spec)
    newer, _ = make_broker(flow_version=2)
    held = newer.get(job.id).refresh()
    assert held.state is JobState.SUBMITTING
    assert "was at flow version 1" in str(held.hold_reason)
    assert len(vendor.ledger.accepted()) == 1


def test_changed_call_is_a_visible_hold_not_a_new_create(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None)
    job = broker.submit(spec)
    changed, _ = make_broker(queue="q2", settle_time_s=0.0)
    held = changed.get(job.id).refresh()
    assert "is not sent, for it might start a second job" in str(held.hold_reason)
    assert len(vendor.ledger.accepted()) == 1


def test_duplicates_found_by_search_are_cancelled_and_the_earliest_adopted(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker(fault="array:reset", settle_time_s=None, steps=("array",))
    job = broker.submit(spec)
    call = vendor.ledger.calls[-1]
    vendor.ledger.start(call, "")
    searchable, _ = make_broker(settle_time_s=0.0, steps=("array",))
    adopted = searchable.get(job.id).refresh()
    assert [each.native_id for each in adopted.ref.members] == ["job-0"]
    assert vendor.ledger.words()["job-1"]["word"] == "stopped"


def test_code_of_a_refusal_reaches_the_job(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker(fault="array:refuse")
    error = broker.submit(spec).error
    assert error is not None
    assert error.code is ErrorCode.PROVIDER_INTERNAL


def test_second_thread_leaves_an_attempt_alone_while_the_first_one_drives_it(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, vendor = make_broker()
    start, under_way, seen = vendor.ledger.start, Event(), Event()

    def slow(call: Any, fault: str) -> Any:
        under_way.set()
        assert seen.wait(10)
        return start(call, fault)

    monkeypatch.setattr(vendor.ledger, "start", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(broker.submit, spec, idempotency_key="k")
        assert under_way.wait(10)
        second = broker.submit(spec, idempotency_key="k")
        assert second.state is JobState.SUBMITTING
        seen.set()
        assert first.result(10).id == second.id
    assert [each["step"] for each in vendor.ledger.accepted()] == ["array", "merge"]
