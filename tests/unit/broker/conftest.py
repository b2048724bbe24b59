"""A broker over the ledger vendor, with a clock that only moves when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mediabroker import Broker, Transcode
from mediabroker.config import BrokerSettings
from tests.ledger import LedgerProvider


class HandClock:
    """Wall time that is moved by hand. Waiting is real but short: it only paces the watcher."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def now(self) -> datetime:
        return self.time

    def monotonic_s(self) -> float:
        return self.time.timestamp()

    def wait(self, event: Event, timeout_s: float) -> bool:
        return event.wait(min(timeout_s, 0.01))

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


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
    return Transcode(input=str(tmp_path / "in.mp4"), output=str(output), user_data={"asset": 42}, labels={"show": "a"})


MakeBroker = Callable[..., tuple[Broker, LedgerProvider]]


@pytest.fixture
def make_broker(tmp_path: Path, clock: HandClock) -> Iterator[MakeBroker]:
    """Brokers on one store and one ledger; the keyword arguments are the vendor's behaviour."""
    opened: list[Broker] = []

    def make(*, store: str = "jobs.db", settings: dict[str, Any] | None = None, **behaviour: Any) -> Any:
        provider = LedgerProvider("ledger", {"folder": tmp_path / "vendor", **behaviour})
        chosen = BrokerSettings(store=f"sqlite:///{tmp_path / store}", **(settings or {}))
        broker = Broker(chosen, providers={"ledger": provider}, clock=clock)
        opened.append(broker)
        return broker, provider

    yield make
    for broker in opened:
        broker.close()
