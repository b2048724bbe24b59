"""`events`, `on`, `serve` and the Lambda trigger: offered until handled, in order, to one process at a time."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mediabroker import AsyncBroker, Broker, JobState, Transcode
from mediabroker.broker.events.handlers import Handlers
from mediabroker.errors import ConfigurationError, InvalidJobError, ProviderError
from mediabroker.events import JobEvent, JobQueued, JobSucceeded
from mediabroker.testing.queues import Faults, FaultyQueue
from tests.ledger import LedgerProvider, notice
from tests.unit.broker.conftest import HandClock, MakeBroker


@pytest.fixture
def queue(tmp_path: Path) -> FaultyQueue:
    return FaultyQueue(tmp_path / "queue.db")


def finish(vendor: LedgerProvider, queue: FaultyQueue | None = None) -> None:
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], "done")
        if queue is not None:
            queue.send(notice(vendor.ledger, each["id"]))


def types(events: list[JobEvent]) -> list[str]:
    return [event.type for event in events]


def until_success(stream: Any) -> list[JobEvent]:
    seen = []
    for event in stream:
        seen.append(event)
        if isinstance(event, JobSucceeded):
            break
    return seen


def test_a_message_becomes_events_and_is_deleted(make_broker: MakeBroker, spec: Transcode, queue: FaultyQueue) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    finish(vendor, queue)
    with broker.events(queue) as stream:
        seen = until_success(stream)
    assert types(seen) == ["job_queued", "job_started", "job_succeeded"]
    assert [event.id for event in seen] == [event.id for event in job.events()]
    assert len(queue) == 0


def test_without_queues_the_providers_are_asked(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    broker.submit(spec)
    finish(vendor)
    with broker.events() as stream:
        assert types(until_success(stream))[-1] == "job_succeeded"


def test_an_event_is_offered_again_with_the_same_id_when_the_body_raised(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, _ = make_broker()
    broker.submit(spec)
    offered = []

    def take_and_fail() -> None:
        with broker.events() as stream:
            for event in stream:
                offered.append(event.id)
                raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            take_and_fail()
        clock.advance(61)
    with broker.events() as stream:
        offered.append(next(stream).id)
    assert len(offered) == 3
    assert len(set(offered)) == 1
    broker.submit(spec)
    with broker.events() as stream:
        assert next(stream).id not in offered, "it was acknowledged when the block ended well"


def test_an_interrupt_puts_the_event_back_at_once(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    broker.submit(spec)
    taken = []

    def take_and_leave() -> None:
        with broker.events() as stream:
            taken.append(next(stream))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_and_leave()
    with broker.events() as stream:
        assert next(stream) == taken[0]


def test_two_processes_of_one_consumer_share_events_and_a_dead_ones_come_back(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, _ = make_broker()
    other, _ = make_broker()
    broker.submit(spec)
    other.submit(spec)
    dies, lives = broker._feed((), "default"), other._feed((), "default")
    dies.register()
    first = dies.claim()
    second = lives.claim()
    assert first is not None
    assert second is not None
    assert first.event.ref.job_id != second.event.ref.job_id
    assert lives.claim() is None
    clock.advance(31)
    again = lives.claim()
    assert again is not None
    assert again.event == first.event


def test_events_of_one_job_wait_for_the_one_before_and_other_jobs_go_on(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker(steps=("only",))
    stuck, free = broker.submit(spec), broker.submit(spec)
    finish(vendor)
    broker.reconcile()
    feed = broker._feed((), "default")
    feed.register()
    first = feed.claim()
    assert first is not None
    assert first.event.ref.job_id == stuck.id
    feed.failed(first)
    seen = []
    while (delivery := feed.claim()) is not None:
        seen.append((delivery.event.ref.job_id, delivery.event.sequence))
        feed.done(delivery)
    assert seen == [(free.id, 1), (free.id, 2), (free.id, 3)]
    clock.advance(2)
    retried = feed.claim()
    assert retried is not None
    assert (retried.event, retried.failures) == (first.event, 1)


def test_consumers_do_not_take_each_others_events(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    broker.submit(spec)
    for name in ("mailer", "indexer"):
        with broker.events(consumer=name) as stream:
            assert isinstance(next(stream), JobQueued)


def test_D18_prune_keeps_what_a_consumer_has_still_to_be_given(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    finish(vendor)
    job.wait(5)
    with broker.events(consumer="mailer") as stream:
        next(stream)
    clock.advance(100 * 86_400)
    assert broker.prune(timedelta(days=1)).jobs == 0
    assert broker.forget_consumer("mailer")
    assert not broker.forget_consumer("mailer")
    assert broker.prune(timedelta(days=1)).jobs == 1


def test_C14_a_queue_in_trouble_is_reported_and_stops_nobody_else(
    make_broker: MakeBroker, spec: Transcode, queue: FaultyQueue, tmp_path: Path
) -> None:
    broker, vendor = make_broker()
    broker.submit(spec)
    broken = FaultyQueue(tmp_path / "broken.db", faults=Faults(refuse=1.0))
    finish(vendor, queue)
    with broker.events(broken, queue) as stream:
        until_success(stream)
        assert isinstance(stream.troubles[broken.url], ProviderError)
        assert queue.url not in stream.troubles


def test_a_stream_ends_when_it_was_idle_for_long_enough(make_broker: MakeBroker, tmp_path: Path) -> None:
    with Broker() as broker, broker.events(idle_timeout=0.1) as stream:
        assert list(stream) == []


class Serving:
    """`serve` in a thread, until the block ends."""

    def __init__(self, broker: Broker, *sources: Any) -> None:
        self._stop = Event()
        self._thread = Thread(target=broker.serve, args=sources, kwargs={"stop": self._stop})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_serve_calls_the_handlers_that_fit(make_broker: MakeBroker, spec: Transcode, queue: FaultyQueue) -> None:
    broker, vendor = make_broker()
    called: list[str] = []
    ended = Event()
    broker.on(JobSucceeded, kind="super_resolution")(lambda event: called.append("other kind"))
    broker.on(JobQueued)(lambda event: called.append("queued"))

    @broker.on(JobSucceeded, kind="transcode")
    def publish(event: JobSucceeded) -> None:
        called.append("succeeded")
        ended.set()

    broker.submit(spec)
    finish(vendor, queue)
    with Serving(broker, queue):
        assert ended.wait(20)
    assert called == ["queued", "succeeded"]


def test_C10_a_handler_that_raises_or_sleeps_does_not_stop_the_others(
    make_broker: MakeBroker, spec: Transcode, caplog: pytest.LogCaptureFixture
) -> None:
    broker, _ = make_broker()
    bad, slow, good = broker.submit(spec), broker.submit(spec), broker.submit(spec)
    woken, seen, raised = Event(), Event(), Event()

    @broker.on(JobQueued)
    def handle(event: JobQueued) -> None:
        if event.ref.job_id == bad.id:
            raised.set()
            raise LookupError("a defect of the application")
        if event.ref.job_id == slow.id:
            woken.wait(20)
        if event.ref.job_id == good.id:
            assert broker.get(good.id).state is JobState.QUEUED, "a handler may call the broker"
            seen.set()

    with caplog.at_level(logging.CRITICAL), Serving(broker):
        assert seen.wait(20)
        assert raised.wait(20)
        woken.set()


def test_an_event_whose_handler_exits_is_offered_again(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, _ = make_broker()
    broker.submit(spec)
    feed, handlers = broker._feed((), "default"), Handlers()
    handlers.add((), None, lambda event: sys.exit(1))
    feed.register()
    first = feed.claim()
    assert first is not None
    with pytest.raises(SystemExit):
        handlers.deliver(feed, first)
    clock.advance(2)
    again = feed.claim()
    assert again is not None
    assert (again.event, again.failures) == (first.event, 1)


@pytest.mark.parametrize(
    ("types", "kind", "said"),
    [
        (("x",), None, "on: 'x' is no class of events.*JobSucceeded"),
        ((Transcode,), None, "Transcode.* is no class of events"),
        ((print,), None, r"is no class of events, as in @broker.on\(JobSucceeded\)"),
        ((JobSucceeded,), "nope", "on: kind: no class for 'nope' is defined in this process; there are .*transcode"),
        ((), 5, "on: kind: no class for 5 is defined"),
    ],
)
def test_a_handler_that_would_never_be_called_is_refused(
    make_broker: MakeBroker, types: tuple[Any, ...], kind: Any, said: str
) -> None:
    broker, _ = make_broker()
    with pytest.raises(ConfigurationError, match=said):
        broker.on(*types, kind=kind)


def test_a_handler_for_the_union_of_events_is_one_for_every_event(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    handled: list[str] = []
    broker.on(JobEvent)(lambda event: handled.append(event.type))
    broker.submit(spec)
    broker.lambda_handler()({"Records": []}, Context())
    assert handled == ["job_queued"]


def record(body: bytes, name: str, count: int = 1) -> dict[str, Any]:
    return {
        "messageId": name,
        "receiptHandle": f"handle-{name}",
        "body": body.decode(),
        "attributes": {"ApproximateReceiveCount": str(count)},
        "messageAttributes": {"tenant": {"stringValue": "a", "dataType": "String"}},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:1:media",
    }


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def test_lambda_trigger_reports_only_what_must_come_again_and_runs_the_handlers(
    make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, vendor = make_broker()
    job = broker.submit(spec)
    handled: list[str] = []
    broker.on()(lambda event: handled.append(event.type))
    finish(vendor)
    event = {
        "Records": [
            record(notice(vendor.ledger, "job-1"), "good"),
            record(b"garbage", "bad"),
            record(b"old garbage", "spent", count=5),
        ]
    }
    answer = broker.lambda_handler()(event, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert handled == ["job_queued", "job_started", "job_succeeded"]
    assert job.done()
    (kept,) = broker.quarantined()
    assert (kept.body, kept.source, kept.attributes["tenant"]) == (b"old garbage", "arn:aws:sqs:eu-west-1:1:media", "a")


def test_lambda_trigger_refuses_what_is_no_batch_of_messages(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    with pytest.raises(InvalidJobError, match="SQS trigger"):
        broker.lambda_handler()({"detail": {}}, None)


def test_asyncio_face_streams_and_serves_the_same_events(make_broker: MakeBroker, spec: Transcode) -> None:
    settings, vendor = make_broker()[0]._core.settings, make_broker()[1]

    async def use() -> None:
        async with AsyncBroker(settings, providers={"ledger": vendor}) as broker:
            await broker.submit(spec)
            finish(vendor)
            seen = []
            async with broker.events(consumer="stream") as stream:
                async for event in stream:
                    seen.append(event.type)
                    if isinstance(event, JobSucceeded):
                        break
            assert seen == ["job_queued", "job_started", "job_succeeded"]
            loops, ended = [], asyncio.Event()

            @broker.on(JobSucceeded)
            async def publish(event: JobSucceeded) -> None:
                loops.append(asyncio.get_running_loop())
                ended.set()

            serving = asyncio.create_task(broker.serve(consumer="served"))
            await asyncio.wait_for(ended.wait(), 20)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert loops == [asyncio.get_running_loop()]
            assert await broker.quarantined() == []

    asyncio.run(use())
