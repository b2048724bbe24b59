"""One pass over live jobs: what goes wrong at one provider stays there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.errors import ProviderError
from tests.ledger import LedgerProvider
from tests.unit.broker.conftest import HandClock

NAMES = ("first", "second", "third")


@pytest.fixture
def broker(tmp_path: Path, clock: HandClock) -> Iterator[Broker]:
    """Over three vendors."""
    vendors = {name: LedgerProvider(name, {"folder": tmp_path / name}) for name in NAMES}
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    with closing(Broker(settings, providers=vendors, clock=clock)) as broker:
        yield broker


def defect(*_: Any) -> Any:
    raise KeyError("detail")


def say_done(broker: Broker) -> None:
    for name in NAMES:
        vendor = broker._core.fleet[name]
        assert isinstance(vendor, LedgerProvider)
        for each in vendor.ledger.accepted():
            vendor.ledger.say(each["id"], "done")


@pytest.mark.parametrize("at", [("first", "query"), ("second", "query"), ("third", "query"), ("second", "fold")])
def test_a_defect_in_one_provider_is_its_own_error_and_the_others_jobs_go_on(
    broker: Broker,
    spec: Transcode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at: tuple[str, str],
) -> None:
    broken, part = at
    jobs = {name: broker.submit(spec, provider=name) for name in NAMES}
    say_done(broker)
    monkeypatch.setattr(broker._core.fleet[broken], part, defect)
    with pytest.raises(ProviderError, match=f"{broken} has failed: KeyError") as caught:
        broker.reconcile()
    assert (caught.value.provider, type(caught.value.__cause__)) == (broken, KeyError)
    assert {name for name, job in jobs.items() if job.done()} == {*NAMES} - {broken}
    assert any(record.exc_info or record.exc_text for record in caplog.records), "the traceback is logged"
    monkeypatch.undo()
    broker.reconcile()
    jobs[broken].done()
    assert jobs[broken].state is JobState.SUCCEEDED


def test_a_defect_met_while_a_job_is_stopped_stops_no_other(
    broker: Broker, spec: Transcode, monkeypatch: pytest.MonkeyPatch, clock: HandClock
) -> None:
    jobs = {name: broker.submit(spec, provider=name, deadline=timedelta(hours=1)) for name in NAMES}
    monkeypatch.setattr(broker._core.fleet["first"], "cancel", defect)
    clock.advance(3601)
    errors = broker._access.refresh()
    assert [getattr(each, "provider", None) for each in errors] == ["first"]
    broker._access.refresh()
    assert {name for name, job in jobs.items() if job.done()} == {"second", "third"}
