"""All processes of a store go by one clock, whatever their own says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from mediabroker import Broker, JobState, Transcode
from mediabroker.clock import SystemClock
from mediabroker.config import BrokerSettings
from mediabroker.store import Store, open_store
from mediabroker.store.time import StoreClock
from tests.ledger import LedgerProvider

AHEAD = timedelta(days=2)


class WrongClock(SystemClock):
    """The clock of a machine that is two days ahead."""

    def now(self) -> datetime:
        return super().now() + AHEAD


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    made: str = request.getfixturevalue("postgresql").new_database()
    return made


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


def test_a_process_that_is_two_days_ahead_goes_by_the_stores_time_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        now = StoreClock(store, WrongClock()).now()
    assert abs(now - datetime.now(timezone.utc)) < timedelta(seconds=30)
    assert "differs from the store's by +172800 s" in caplog.text


def test_a_right_clock_is_not_corrected_by_the_way_to_the_store(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = StoreClock(store)
    assert abs(clock.now() - datetime.now(timezone.utc)) < timedelta(seconds=1)
    assert caplog.text == ""


def test_a_broker_that_is_two_days_ahead_fails_no_job_at_its_deadline(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = {"folder": tmp_path / "vendor", "steps": ["only"]}
    (tmp_path / "a.mp4").write_bytes(b"frames")
    spec = Transcode(input=tmp_path / "a.mp4", output=tmp_path / "b.mp4")
    with Broker(BrokerSettings(store=url), providers={"ledger": LedgerProvider("ledger", vendor)}) as right:
        job = right.submit(spec, deadline=timedelta(hours=1))
        monkeypatch.setattr("mediabroker.store.time.SystemClock", WrongClock)
        with Broker(BrokerSettings(store=url), providers={"ledger": LedgerProvider("ledger", vendor)}) as ahead:
            ahead.reconcile()
            assert ahead.get(job.id).state is JobState.QUEUED
