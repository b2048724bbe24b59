"""Kill -9 of the submitting process at every store commit and around every vendor effect: always exactly one chain.

The process under test is real and so is the signal; what was accepted is counted in the vendor's own ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from tests.ledger import LedgerProvider

_SUBMIT = """
import sys
from pathlib import Path
from tests.reliability.test_crash_matrix import submit
submit(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
"""

_COMMITS = 3
"""Transactions of one submit, reads among them; a test below holds the count."""


def _broker(folder: Path, fault: str = "") -> tuple[Broker, LedgerProvider]:
    provider = LedgerProvider("ledger", {"folder": folder / "vendor", "fault": fault})
    settings = BrokerSettings(store=f"sqlite:///{folder / 'jobs.db'}", lease_s=0.01)
    return Broker(settings, providers={"ledger": provider}), provider


def _spec(folder: Path) -> Transcode:
    return Transcode(input=__file__, output=str(folder / "out.mp4"))


def submit(folder: Path, fault: str, kill: str) -> None:
    """Runs in the child. `kill` is `before:k` or `after:k`, the k-th commit counted from 1; or empty."""
    broker, _ = _broker(folder, fault)
    when, _, number = kill.partition(":")
    commits = 0

    def count(connection: object) -> None:
        nonlocal commits
        commits += 1
        if when == "before" and commits == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def after(*_: object) -> None:
        if when == "after" and commits == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    engine = broker._core.store._engine
    if kill:
        event.listen(engine, "commit", count)
        event.listen(engine, "checkin", after)
    broker.submit(_spec(folder), idempotency_key="k")


def _run_child(folder: Path, fault: str = "", kill: str = "") -> int:
    child = subprocess.run([sys.executable, "-c", _SUBMIT, str(folder), fault, kill], timeout=60, check=False)
    return child.returncode


def _recover(folder: Path) -> tuple[JobState, list[str]]:
    broker, provider = _broker(folder)
    with broker:
        job = broker.submit(_spec(folder), idempotency_key="k")
        broker.reconcile()
        return job.refresh().state, [each["step"] for each in provider.ledger.accepted()]


@pytest.mark.parametrize("step", ["array", "merge"])
@pytest.mark.parametrize("when", ["die-before", "die-after"])
def test_S2_kill_around_a_vendor_effect_leaves_exactly_one_chain(tmp_path: Path, step: str, when: str) -> None:
    assert _run_child(tmp_path, fault=f"{step}:{when}") == -signal.SIGKILL
    assert _recover(tmp_path) == (JobState.QUEUED, ["array", "merge"])


@pytest.mark.parametrize("number", range(1, _COMMITS + 1))
@pytest.mark.parametrize("when", ["before", "after"])
def test_S3_kill_at_a_store_commit_leaves_exactly_one_chain(tmp_path: Path, when: str, number: int) -> None:
    assert _run_child(tmp_path, kill=f"{when}:{number}") == -signal.SIGKILL
    assert _recover(tmp_path) == (JobState.QUEUED, ["array", "merge"])


def test_S3_the_sweep_covers_every_commit_of_a_submit(tmp_path: Path) -> None:
    assert _run_child(tmp_path, kill=f"before:{_COMMITS + 1}") == 0
    assert _recover(tmp_path) == (JobState.QUEUED, ["array", "merge"])
