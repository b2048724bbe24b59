"""Plan, list, adopt, prune; and that the asyncio face is the same broker."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from datetime import timedelta
from typing import Any

import pytest

from mediabroker import AsyncBroker, AsyncJob, Broker, Job, JobState, SuperResolution, Transcode
from mediabroker.errors import (
    BrokerClosedError,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidJobError,
    JobNotFoundError,
    UnsupportedError,
)
from mediabroker.events import JobQueued
from mediabroker.refs import JobRef
from tests.ledger import LedgerOptions, LedgerProvider
from tests.unit.broker.conftest import HandClock, MakeBroker


def _finish(vendor: LedgerProvider) -> None:
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], "done")


def test_plan_shows_the_calls_and_makes_none(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    planned = broker.plan(spec)
    assert (planned.provider, planned.rejected) == ("ledger", ())
    assert [(call.operation, call.effect, call.step) for call in planned.calls] == [
        ("SubmitJob", "create", "array"),
        ("SubmitJob", "create", "merge"),
    ]
    assert planned.calls[1].params["after"] == ["<array.jobId>"]
    assert planned.calls[0].params["name"] == "<token>-array"
    assert vendor.ledger.calls == []
    assert list(broker.list()) == []


def test_submit_makes_exactly_the_planned_calls(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    planned = [(call.operation, call.step, set(call.params)) for call in broker.plan(spec).calls]
    broker.submit(spec)
    assert [(call.operation, call.step, set(call.params)) for call in vendor.ledger.calls] == planned


def test_plan_names_every_provider_passed_over_with_the_reason(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    other = LedgerProvider("other", {"folder": vendor.options.folder})
    other.check = _refuses  # type: ignore[method-assign]  # one instance with less to offer
    both = Broker(broker._core.settings, providers={"other": other, "ledger": vendor})
    try:
        planned = both.plan(spec)
    finally:
        both.close()
    assert planned.provider == "ledger"
    assert [(each.provider, each.reason) for each in planned.rejected] == [("other", "no GPU there")]


def _refuses(spec: Any, options: Any) -> None:
    raise UnsupportedError("no GPU there")


def test_list_filters_by_state_kind_provider_and_label(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    first = broker.submit(spec)
    second = broker.submit(SuperResolution(input=spec.input, output=spec.output))
    _finish(vendor)
    first.refresh()
    assert [job.id for job in broker.list(state=JobState.SUCCEEDED)] == [first.id]
    assert [job.id for job in broker.list(kind="super_resolution")] == [second.id]
    assert [job.id for job in broker.list(label=("show", "a"))] == [first.id]
    assert list(broker.list(provider="tokyo")) == []
    assert len(list(broker.list(provider="ledger"))) == 2
    assert len(list(broker.list(limit=1))) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"state": "nope"}, "state: 'nope' is no JobState; they are SUBMITTING, QUEUED"),
        ({"state": 5}, "state: 5 is no JobState"),
        ({"limit": 0}, "limit: 0 is no whole number from 1 on"),
        ({"limit": -1}, "limit: -1 is no whole number from 1 on"),
        ({"limit": "5"}, "limit: '5' is no whole number from 1 on"),
    ],
)
def test_list_refuses_what_it_cannot_look_for_by_its_name(
    make_broker: MakeBroker, given: dict[str, Any], said: str
) -> None:
    broker, _ = make_broker()
    with pytest.raises(InvalidJobError, match=said):
        broker.list(**given)


def test_list_takes_a_state_by_its_name(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, _ = make_broker()
    job = broker.submit(spec)
    word: Any = "QUEUED"
    assert [each.id for each in broker.list(state=word)] == [job.id]


def test_quarantined_refuses_a_limit_that_is_none(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    with pytest.raises(InvalidJobError, match="limit: -1 is no whole number"):
        broker.quarantined(limit=-1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"spec": {"kind": "transcode"}}, r"spec: dict is no JobSpec; give one such as Transcode\(...\)"),
        ({"options": {"x": 1}}, r"options: {'x': 1} is no list of options"),
        ({"options": LedgerOptions()}, r"options: LedgerOptions.* is no list of options"),
        ({"options": ["x"]}, r"options: \['x'\] is no list of options"),
        ({"provider": 5}, "provider: 5 is neither a name nor a list of names"),
        ({"provider": [5]}, r"provider: \[5\] is neither a name nor a list of names"),
    ],
)
def test_a_request_of_the_wrong_types_is_refused_by_the_arguments_name(
    make_broker: MakeBroker, spec: Transcode, given: dict[str, Any], said: str
) -> None:
    broker, vendor = make_broker()
    for ask in (broker.submit, broker.run, broker.plan):
        with pytest.raises(InvalidJobError, match=said):
            ask(**{"spec": spec, **given})
    assert list(broker.list()) == []
    assert vendor.ledger.calls == []


def test_prune_refuses_an_age_that_is_none(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    days: Any = "5"
    with pytest.raises(InvalidJobError, match="older_than: '5' is no length of time"):
        broker.prune(days)


def test_reference_alone_finds_the_job_from_another_store(make_broker: MakeBroker, spec: Transcode) -> None:
    broker, vendor = make_broker()
    ref = str(broker.submit(spec).ref)
    elsewhere, _ = make_broker(store="other.db")
    adopted = elsewhere.get(ref)
    assert adopted.spec is None
    _finish(vendor)
    assert adopted.wait(5).state is JobState.SUCCEEDED
    assert elsewhere.get(JobRef.parse(ref)).id == adopted.id


def test_reference_that_the_provider_does_not_know_is_job_not_found(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    with pytest.raises(JobNotFoundError):
        broker.get("job:1/ledger/transcode/abc?member=only:job-99")


def test_reference_of_another_account_is_refused(make_broker: MakeBroker) -> None:
    broker, _ = make_broker()
    with pytest.raises(ConfigurationError, match="account 999"):
        broker.get("job:1/ledger/transcode/abc?account=999&member=only:job-0")


def test_prune_removes_old_ended_jobs_and_never_a_live_or_keyed_one(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    ended, keyed = broker.submit(spec), broker.submit(spec, idempotency_key="k")
    _finish(vendor)
    broker.wait([ended, keyed], timeout=5)
    live = broker.submit(spec)
    clock.advance(10 * 86400)
    assert broker.prune(timedelta(days=9)).jobs == 1
    assert {job.id for job in broker.list()} == {keyed.id, live.id}
    with pytest.raises(JobNotFoundError):
        ended.refresh()
    clock.advance(21 * 86400)
    assert broker.prune(timedelta(days=9)).jobs == 1
    assert [job.id for job in broker.list()] == [live.id]


def _public(cls: type) -> dict[str, list[str]]:
    return {
        name: [parameter for parameter in inspect.signature(member).parameters if parameter != "cls"]
        for name, member in inspect.getmembers(cls, callable)
        if not name.startswith("_")
    }


def test_asyncio_face_has_the_same_names_and_parameters() -> None:
    inner = {"poll", "future", "job_events", "watcher"}  # what handles use, not users
    sync = {name: parameters for name, parameters in _public(Broker).items() if name not in inner}
    sync["aclose"] = sync.pop("close")
    assert {name: each for name, each in _public(AsyncBroker).items() if name != "in_thread"} == sync
    assert _public(AsyncJob) == _public(Job)


def test_asyncio_face_runs_the_same_broker(make_broker: MakeBroker, spec: Transcode) -> None:
    settings = make_broker()[0]._core.settings
    vendor = make_broker()[1]

    async def use() -> None:
        async with AsyncBroker(settings, providers={"ledger": vendor}) as broker:
            job = await broker.submit(spec, idempotency_key="k")
            assert (await broker.get(job.id)).id == job.id
            with pytest.raises(TimeoutError):
                await job.result(timeout=0.01)
            with pytest.raises(IdempotencyConflictError):
                await broker.submit(spec.model_copy(update={"overwrite": True}), idempotency_key="k")
            _finish(vendor)
            result = await job.result(timeout=10)
            assert result.outputs
            assert [type(event).__name__ async for event in job.events()][-1] == "JobSucceeded"
            assert [each.id async for each in broker.list()] == [job.id]
            waited = await broker.wait([job], timeout=1)
            assert waited.done == [job]

    asyncio.run(use())


def test_asyncio_followers_and_streams_keep_nobody_from_the_broker(make_broker: MakeBroker, spec: Transcode) -> None:
    settings, vendor = make_broker()[0]._core.settings, make_broker()[1]

    async def use() -> None:
        async with AsyncBroker(settings, providers={"ledger": vendor}) as broker:
            job = await broker.submit(spec)
            following = [job.events() for _ in range(10)]
            streams = [broker.events(consumer=f"consumer-{number}") for number in range(10)]
            assert [type(await anext(each)) for each in (*following, *streams)] == [JobQueued] * 20
            waiting = [asyncio.ensure_future(anext(each)) for each in (*following, *streams)]
            assert (await asyncio.wait_for(broker.get(job.id), 20)).id == job.id
            assert not any(each.done() for each in waiting)
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for each in streams:
                await each.aclose()
                await each.aclose()
                assert [event async for event in each] == []

    asyncio.run(use())


def test_asyncio_waiters_are_told_that_the_broker_was_closed(make_broker: MakeBroker, spec: Transcode) -> None:
    settings, vendor = make_broker()[0]._core.settings, make_broker()[1]

    async def use() -> None:
        broker = AsyncBroker(settings, providers={"ledger": vendor})
        job = await broker.submit(spec)
        events = job.events()
        await anext(events)
        waiting = [asyncio.ensure_future(each) for each in (job.wait(), broker.wait([job]), anext(events))]
        futures = (await broker._opened())._watcher._futures
        while len(futures[job.id]) < 2:
            await asyncio.sleep(0)
        await broker.aclose()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [BrokerClosedError] * 3

    asyncio.run(use())


def test_an_async_broker_opens_its_store_in_its_own_threads(
    make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, vendor = make_broker()[0]._core.settings, make_broker()[1]
    opened: list[str] = []
    real = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(threading.current_thread().name)
        return real(*arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect)

    async def main() -> None:
        async with AsyncBroker(settings, providers={"ledger": vendor}):
            assert opened

    asyncio.run(main())
    assert [name for name in opened if not name.startswith("mediabroker-async")] == []
