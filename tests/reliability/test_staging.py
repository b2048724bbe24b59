"""Kill -9 while bytes are staged, submitted and delivered: one vendor job, whole outputs, and nothing left behind.

The killed process is a fork of this one, so that every point of the sweep is cheap.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.refs import MediaURI
from tests.ledger import LedgerProvider
from tests.stores import BucketFolders
from tests.unit.broker.conftest import HandClock

VIDEO, MADE = b"a video of 22 bytes...", b"made by the vendor"

_SUBMIT_COMMITS, _DELIVER_COMMITS = 7, 8
"""Transactions of a staged submit and of a delivery, reads among them; a test below holds the counts."""


def _broker(
    folder: Path, hook: Callable[[str, MediaURI], None] | None = None, *, later_s: float = 0.0
) -> tuple[Broker, LedgerProvider]:
    options = {"folder": folder / "vendor", "schemes": ["s3"], "steps": ["only"]}
    staging: Any = {"s3": "s3://staging/jobs/"}
    settings = BrokerSettings(store=f"sqlite:///{folder / 'jobs.db'}", staging=staging)
    vendor, clock = LedgerProvider("ledger", options), HandClock()
    clock.advance(later_s)
    broker = Broker(settings, providers={"ledger": vendor}, clock=clock)
    buckets = BucketFolders(folder / "buckets")
    if hook is not None:
        buckets.hook = hook
    broker._core.stores._open["s3"] = buckets
    return broker, vendor


def _spec(folder: Path) -> Transcode:
    return Transcode(input=folder / "in.mp4", output=folder / "out.mp4")


class Death:
    """Kills this process at the k-th time that something happens, counted from 1."""

    def __init__(self, when: str) -> None:
        self._moment, _, number = when.partition(":")
        self._number = int(number)
        self._seen: Counter[str] = Counter()

    def __call__(self, moment: str, *_: object) -> None:
        self._seen[moment] += 1
        if (moment, self._seen[moment]) == (self._moment, self._number):
            os.kill(os.getpid(), signal.SIGKILL)

    def strike_at_commits(self, broker: Broker) -> None:
        event.listen(broker._core.store._engine, "commit", lambda _: self("commit"))


def _killed(work: Callable[[], object]) -> bool:
    """Whether the fork that does this work was killed; any other end than a plain one is an error."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code == -signal.SIGKILL


def _submit(folder: Path, when: str) -> None:
    death = Death(when)
    broker, _ = _broker(folder, death)
    death.strike_at_commits(broker)
    broker.submit(_spec(folder), idempotency_key="k")


def _deliver(folder: Path, when: str) -> None:
    death = Death(when)
    broker, _ = _broker(folder, death)
    death.strike_at_commits(broker)
    broker.reconcile()


def _finish(folder: Path, *, deliver: bool = True) -> None:
    """What a recovering process comes to, and what must then be true."""
    broker, vendor = _broker(folder, later_s=60)  # when the lease of the killed one has ended
    with broker:
        job = broker.submit(_spec(folder), idempotency_key="k")
        job.refresh()
        (accepted,) = vendor.ledger.accepted()
        buckets = BucketFolders(folder / "buckets")
        if deliver:
            assert buckets.get(accepted["input"]) == VIDEO
            buckets.put(accepted["output"], MADE)
            vendor.ledger.say(accepted["id"], "done")
        assert job.wait(timeout=60).state is JobState.SUCCEEDED
        broker.reconcile()
        assert (folder / "out.mp4").read_bytes() == MADE
        assert buckets.names("staging") == []
        assert len(vendor.ledger.accepted()) == 1
        assert len(job.attempts) == 1
        assert [each.type for each in job.events()] == ["job_queued", "job_started", "job_succeeded"]
        assert sorted(path.name for path in folder.glob("*.mp4*")) == ["in.mp4", "out.mp4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.mp4").write_bytes(VIDEO)
    return tmp_path


@pytest.fixture
def made(folder: Path) -> Path:
    """A folder whose vendor has done its work and is not yet known to have."""
    broker, vendor = _broker(folder)
    with broker:
        broker.submit(_spec(folder), idempotency_key="k")
    (accepted,) = vendor.ledger.accepted()
    BucketFolders(folder / "buckets").put(accepted["output"], MADE)
    vendor.ledger.say(accepted["id"], "done")
    return folder


@pytest.mark.parametrize("when", ["write:1", "written:1", *(f"commit:{k}" for k in range(1, _SUBMIT_COMMITS + 1))])
def test_killed_while_staging_or_submitting(folder: Path, when: str) -> None:
    assert _killed(lambda: _submit(folder, when))
    _finish(folder)


@pytest.mark.parametrize(
    "when", ["read:1", "read:3", "deleted:1", *(f"commit:{k}" for k in range(1, _DELIVER_COMMITS + 1))]
)
def test_killed_while_delivering_or_clearing(made: Path, when: str) -> None:
    assert _killed(lambda: _deliver(made, when))
    _finish(made, deliver=False)


def test_the_sweeps_cover_every_commit(folder: Path, made: Path) -> None:
    assert not _killed(lambda: _deliver(made, f"commit:{_DELIVER_COMMITS + 1}"))
    (folder / "jobs.db").unlink()
    assert not _killed(lambda: _submit(folder, f"commit:{_SUBMIT_COMMITS + 1}"))
