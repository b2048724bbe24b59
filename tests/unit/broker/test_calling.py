"""The vendor's rate is kept, retries have a budget, and a vendor that is down is left in peace: measured."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from mediabroker import JobState, Transcode
from mediabroker.broker.calling import Bucket, Caller, Circuit, CircuitOpenError
from mediabroker.errors import ProviderError, ThrottledError, UnavailableError
from mediabroker.spi import Call, Capabilities, RateLimit, Reply
from tests.ledger import LedgerProvider
from tests.unit.broker.conftest import HandClock, MakeBroker

LOOK = Call[Any]("ledger", "DescribeJobs", {})


class JumpClock(HandClock):
    """Waiting moves it, and takes no time."""

    def wait(self, event: Event, timeout_s: float) -> bool:
        self.advance(timeout_s)
        return event.is_set()


class Limited(LedgerProvider):
    """A vendor with rates."""

    rates: tuple[RateLimit, ...] = ()

    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"rates": self.rates})


class Wire:
    """A transport that answers every call with what `answer` gives."""

    def __init__(self, answer: Callable[[], Reply]) -> None:
        self._answer = answer

    def perform(self, call: Call[Any]) -> Reply:
        return self._answer()

    def close(self) -> None:
        return None


@pytest.fixture
def vendor(tmp_path: Any) -> Limited:
    return Limited("ledger", {"folder": tmp_path})


@pytest.mark.parametrize("per_s", [0.5, 1.0, 1.5, 3.0, 50.0, 100.0])
def test_no_second_sees_more_calls_than_the_limit_and_the_long_run_gets_nearly_all(per_s: float) -> None:
    bucket, sent_s, now_s = Bucket(per_s), [], 0.0
    for _ in range(400):
        now_s += bucket.reserve(now_s)
        sent_s.append(now_s)
    window_s = max(1.0, 1 / per_s)
    most = max(sum(at <= each < at + window_s - 1e-9 for each in sent_s) for at in sent_s)
    assert most <= max(1, per_s * window_s)
    assert 400 / sent_s[-1] >= per_s * 0.5


def test_an_idle_account_may_send_a_tenth_of_its_limit_at_once() -> None:
    bucket = Bucket(100.0)
    assert [bucket.reserve(0.0) for _ in range(10)] == [pytest.approx(0.0)] * 10
    assert bucket.reserve(0.0) == pytest.approx(1 / 90)


def test_each_limit_of_an_account_holds_for_the_calls_it_names(vendor: Limited) -> None:
    vendor.rates = (RateLimit(service="ledger", per_s=100), RateLimit(service="ledger", per_s=2, operations=("Slow",)))
    clock = JumpClock()
    caller = Caller(clock, lambda *_: Wire(dict))

    def took_s(call: Call[Any], times: int) -> float:
        began_s = clock.monotonic_s()
        for _ in range(times):
            caller.perform(vendor, call)
        return clock.monotonic_s() - began_s

    assert took_s(LOOK, 190) == pytest.approx(2.0, abs=0.1)
    assert took_s(Call[Any]("ledger", "Slow", {}), 3) == pytest.approx(2.0, abs=0.1)
    assert took_s(Call[Any]("elsewhere", "Slow", {}), 1000) == 0


@pytest.mark.parametrize("account", ["1234", None], ids=["told", "not told, so perhaps the same"])
def test_two_instances_of_one_account_share_its_limit(vendor: Limited, account: str | None) -> None:
    vendor.account, vendor.rates = account, (RateLimit(service="ledger", per_s=2),)
    twin = Limited("twin", {"folder": vendor.options.folder})
    twin.account, twin.rates = vendor.account, vendor.rates
    clock = JumpClock()
    caller = Caller(clock, lambda *_: Wire(dict))
    began_s = clock.monotonic_s()
    for each in (vendor, twin, vendor):
        caller.perform(each, LOOK)
    assert clock.monotonic_s() - began_s == pytest.approx(2.0)


def test_instances_of_different_accounts_do_not_wait_for_each_other(vendor: Limited) -> None:
    vendor.account, vendor.rates = "1234", (RateLimit(service="ledger", per_s=1),)
    other = Limited("other", {"folder": vendor.options.folder})
    other.account, other.rates = "5678", vendor.rates
    clock = JumpClock()
    caller = Caller(clock, lambda *_: Wire(dict))
    began_s = clock.monotonic_s()
    for each in (vendor, other):
        caller.perform(each, LOOK)
    assert clock.monotonic_s() == began_s


class Episode:
    """A vendor that is down from 10 s to 30 s, and what somebody who calls ten times a second meets."""

    def __init__(self, vendor: LedgerProvider, down: Callable[[], ProviderError]) -> None:
        self.clock = JumpClock()
        self.began_s = self.clock.monotonic_s()
        self.wire, self.answered_s, self.wanted = 0, list[float](), 0
        caller = Caller(self.clock, lambda *_: Wire(lambda: self._send(down)))
        while self.at_s < 90:
            self.wanted += 1
            try:
                caller.perform(vendor, LOOK)
            except ProviderError:
                pass
            else:
                self.answered_s.append(self.at_s)
            self.clock.advance(0.1)

    @property
    def at_s(self) -> float:
        return self.clock.monotonic_s() - self.began_s

    def _send(self, down: Callable[[], ProviderError]) -> Reply:
        self.wire += 1
        if 10 <= self.at_s < 30:
            raise down()
        return {}


@pytest.mark.parametrize("down", [lambda: UnavailableError("down"), lambda: ThrottledError("slow down")])
def test_L11_an_outage_is_not_amplified_and_is_over_soon_after_its_end(
    vendor: Limited, down: Callable[[], ProviderError]
) -> None:
    episode = Episode(vendor, down)
    assert episode.wire / episode.wanted <= 1.2
    back_s = next(at_s for at_s in episode.answered_s if at_s >= 30)
    assert back_s <= 30 + 2 * 20
    after = [at_s for at_s in episode.answered_s if at_s >= back_s]
    assert len(after) >= 0.95 * (90 - back_s) / 0.1


def test_L11_fails_without_its_defence(vendor: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Circuit, "may_retry", lambda self: True)
    monkeypatch.setattr(Circuit, "nobody_there", lambda self: None)
    episode = Episode(vendor, lambda: UnavailableError("down", retry_after_s=0.01))
    assert episode.wire / episode.wanted > 1.5


def test_while_nobody_is_there_one_call_after_each_pause_looks() -> None:
    clock = JumpClock()
    circuit = Circuit(clock)
    for _ in range(10):
        circuit.begin("p", "o")
        circuit.nobody_there()
    pauses_s = []
    for _ in range(7):
        with pytest.raises(CircuitOpenError) as caught:
            circuit.begin("p", "o")
        assert caught.value.retry_after_s is not None
        pauses_s.append(caught.value.retry_after_s)
        clock.advance(caught.value.retry_after_s)
        circuit.begin("p", "o")
        with pytest.raises(CircuitOpenError):
            circuit.begin("p", "o")
        circuit.nobody_there()
    assert pauses_s == [1, 2, 4, 8, 16, 20, 20]
    clock.advance(20)
    circuit.begin("p", "o")
    circuit.answered()
    circuit.begin("p", "o")


def test_a_refusal_is_an_answer_and_opens_nothing(vendor: Limited) -> None:

    def refuse() -> Reply:
        raise ProviderError("no such queue")

    caller = Caller(JumpClock(), lambda *_: Wire(refuse))

    for _ in range(50):
        with pytest.raises(ProviderError, match="no such queue"):
            caller.perform(vendor, LOOK)


def test_a_submit_waits_for_a_vendor_that_does_not_answer_and_sends_one_job(
    make_broker: MakeBroker, spec: Transcode, clock: HandClock
) -> None:
    broker, vendor = make_broker()
    call = Call[Any]("ledger", "SubmitJob", {})
    circuit = broker._core.caller._circuit("ledger", call)
    for _ in range(10):
        circuit.nobody_there()
    job = broker.submit(spec)
    assert job.state is JobState.SUBMITTING
    assert "ledger does not answer" in str(job.hold_reason)
    assert vendor.ledger.accepted() == []
    job.refresh()
    clock.advance(20)
    assert job.refresh().state is JobState.QUEUED
    assert len(vendor.ledger.accepted()) == 2
