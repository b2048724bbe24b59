"""A broker over the ledger vendor, with a clock that only moves when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, Transcode
from mediabroker.broker.following.passing import Pass
from mediabroker.config import BrokerSettings
from mediabroker.spi import Observation
from mediabroker.testing.clock import HandClock
from tests.ledger import LedgerProvider

__all__ = ["SHARED_KEY", "HandClock", "next_pass", "observe"]

SHARED_KEY = "hosts that adopt each other's jobs share this one"


def next_pass(broker: Broker) -> None:
    """Return once a whole pass over the watched jobs has begun and ended."""
    broker._watcher.pass_after(broker._watcher._begun).result(20)


def observe(broker: Broker, job_id: str, seen: Mapping[str, Observation]) -> None:
    """Have a broker take in what was seen of a job's vendor jobs, as a pass does."""
    Pass(broker._core)._merge({job_id: broker._access.attempt(job_id)}, seen)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"video")
    return path


@pytest.fixture
def spec(tmp_path: Path, output: Path) -> Transcode:
    (tmp_path / "in.mp4").write_bytes(b"input")
    return Transcode(input=str(tmp_path / "in.mp4"), output=str(output), user_data={"asset": 42}, labels={"show": "a"})


MakeBroker = Callable[..., tuple[Broker, LedgerProvider]]


@pytest.fixture
def make_broker(tmp_path: Path, clock: HandClock) -> Iterator[MakeBroker]:
    """Brokers on one store and one ledger; the keyword arguments are the vendor's behaviour."""
    opened: list[Broker] = []

    def make(*, store: str = "jobs.db", settings: dict[str, Any] | None = None, **behaviour: Any) -> Any:
        provider = LedgerProvider("ledger", {"folder": tmp_path / "vendor", **behaviour})
        given = {"token_key": SHARED_KEY, **(settings or {})}
        chosen = BrokerSettings(store=f"sqlite:///{tmp_path / store}", **given)
        broker = Broker(chosen, providers={"ledger": provider}, clock=clock)
        opened.append(broker)
        return broker, provider

    yield make
    for broker in opened:
        broker.close()
