"""Behind a stream: at which pace is asked, which loans are renewed, and what is left when the store does not answer."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest

from mediabroker import Broker, Transcode
from mediabroker.broker.following.passing import Pass
from mediabroker.errors import StoreBusyError, StoreError
from tests.unit.broker.conftest import HandClock, MakeBroker

_IMPATIENT = {"busy_timeout_s": 0.05}


class TurningClock(HandClock):
    """Time passes where somebody waits; after `turns` waits, whatever is waited for has come."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._turns = turns

    def wait(self, event: Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self.advance(timeout_s)
        return len(self.waits) > self._turns


def full_passes(broker: Broker, count: int, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Let a feed's passes run so often; with `error`, each fails with it."""
    ran, enough, run = [0], Event(), Pass.run

    def counted(passing: Pass) -> Any:
        ran[0] += 1
        if ran[0] == count:
            enough.set()
        if error is not None:
            raise error
        return run(passing)

    monkeypatch.setattr(Pass, "run", counted)
    with broker._watcher.attending(None, lambda: None):
        assert enough.wait(20)


def test_a_provider_that_is_not_configured_is_asked_for_at_the_usual_pace(
    make_broker: MakeBroker, spec: Transcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, _ = make_broker()
    broker.submit(spec)
    clock = TurningClock(turns=10_000)
    with Broker(broker._core.settings, providers={}, clock=clock) as without:
        full_passes(without, 3, monkeypatch)
    assert clock.waits[:2] == [1.0, 1.0]


def test_while_passes_fail_the_pauses_grow_and_the_log_has_one_line_at_the_start_and_one_at_the_end(
    make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = TurningClock(turns=10_000)
    with Broker(make_broker()[0]._core.settings, providers={}, clock=clock) as broker:
        full_passes(broker, 5, monkeypatch, StoreError("the store is gone"))
        assert all(most / 2 <= wait <= most for wait, most in zip(clock.waits, (1, 2, 4, 8), strict=False))
        monkeypatch.undo()
        full_passes(broker, 2, monkeypatch)
    said = [each.getMessage() for each in caplog.records if "following jobs" in each.getMessage()]
    assert said[0] == "following jobs: out of order: the store is gone; trying again"
    assert len(said) == 2
    assert said[1].startswith("following jobs: in order again after ")


def test_only_events_in_hand_stay_on_loan(make_broker: MakeBroker, spec: Transcode) -> None:
    made, vendor = make_broker(settings=_IMPATIENT)
    made.submit(spec)
    made.submit(spec)
    clock = TurningClock(turns=6)
    with Broker(made._core.settings, providers={"ledger": vendor}, clock=clock) as broker:
        feed = broker._feed((), "default")
        feed.register()
        unsettled, in_hand = feed.claim(), feed.claim()
        assert unsettled is not None
        assert in_hand is not None
        with made._core.store.write(), pytest.raises(StoreBusyError):
            feed.done(unsettled)
        feed._renew()
        again = feed.claim()
        assert again is not None
        assert again.event == unsettled.event
        assert feed.claim() is None, "the other one is still handled"


@pytest.mark.parametrize("settle", ["failed", "put_back"])
def test_an_event_that_cannot_be_given_back_does_not_stay_on_loan(
    make_broker: MakeBroker, spec: Transcode, settle: str
) -> None:
    broker, _ = make_broker(settings=_IMPATIENT)
    broker.submit(spec)
    clock = TurningClock(turns=6)
    with Broker(broker._core.settings, providers={}, clock=clock) as other:
        feed = other._feed((), "default")
        feed.register()
        delivery = feed.claim()
        with broker._core.store.write(), pytest.raises(StoreBusyError):
            getattr(feed, settle)(delivery)
        feed._renew()
        assert feed.claim() == delivery


@pytest.mark.parametrize(
    ("raised", "heard"),
    [(None, StoreBusyError), (LookupError("a defect of the application"), LookupError)],
    ids=["handled", "failed"],
)
def test_a_stream_whose_event_cannot_be_settled_lets_its_queues_go_and_its_body_is_heard_first(
    raised: Exception | None, heard: type[Exception], make_broker: MakeBroker, spec: Transcode
) -> None:
    broker, other = (make_broker(settings=_IMPATIENT)[0] for _ in range(2))
    broker.submit(spec)
    stream = broker.events()
    with ExitStack() as locked, pytest.raises(heard), stream:
        next(stream)
        locked.enter_context(other._core.store.write())
        if raised is not None:
            raise raised
    assert stream._feed.stopped
