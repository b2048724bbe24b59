"""The broker against a vendor that loses answers, retries, contradicts itself and forgets, driven by hypothesis.

The model is the vendor's ledger: whatever happens, one chain per job, ends that never change, and events in order.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.errors import IdempotencyConflictError
from mediabroker.spi import CancelOutcome
from tests.ledger import LedgerProvider, LedgerSettings
from tests.unit.broker.conftest import HandClock

_FAULTS = ("", "array:reset", "merge:reset", "array:no-id", "merge:no-id", "merge:refuse", "array:refuse")
_WORDS = ("waiting", "working", "done", "broken", "pondering")
_LIMITS: tuple[dict[str, timedelta], ...] = (
    {},
    {"deadline": timedelta(hours=1)},
    {"queue_timeout": timedelta(seconds=30)},
)


class BrokerMachine(RuleBasedStateMachine):
    """One store and one ledger; brokers come and go."""

    keys = Bundle("keys")

    @initialize()
    def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        (self.folder / "out.mp4").write_bytes(b"video")
        self.url = self._new_store()
        self.clock = HandClock()
        self.ended: dict[str, JobState] = {}
        self.requests: dict[str, tuple[str, bool]] = {}
        self.broker, self.vendor = self._start("")

    def _new_store(self) -> str:
        return f"sqlite:///{self.folder / 'jobs.db'}"

    def _start(self, fault: str) -> tuple[Broker, LedgerProvider]:
        vendor = LedgerProvider("ledger", {"folder": self.folder / "vendor", "fault": fault})
        return Broker(BrokerSettings(store=self.url), providers={"ledger": vendor}, clock=self.clock), vendor

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.broker.close()
            self._folder.cleanup()

    @rule(target=keys, key=st.sampled_from("abcd"), overwrite=st.booleans(), limits=st.sampled_from(_LIMITS))
    def submit(self, key: str, overwrite: bool, limits: dict[str, timedelta]) -> str:
        spec = Transcode(input=__file__, output=str(self.folder / "out.mp4"), overwrite=overwrite)
        try:
            job = self.broker.submit(spec, idempotency_key=key, **limits)
        except IdempotencyConflictError:
            assert self.requests[key][1] != overwrite
        else:
            assert self.requests.setdefault(key, (job.id, overwrite)) == (job.id, overwrite)
        return key

    @rule(fault=st.sampled_from(_FAULTS))
    def vendor_misbehaves(self, fault: str) -> None:
        self.vendor.options = LedgerSettings(folder=self.vendor.options.folder, fault=fault)
        self.broker._core.fleet.close()  # the next call connects with the new behaviour

    @rule(number=st.integers(0, 7), word=st.sampled_from(_WORDS), attempt=st.integers(0, 2))
    def vendor_moves(self, number: int, word: str, attempt: int) -> None:
        if f"job-{number}" in self.vendor.ledger.words():
            self.vendor.ledger.say(f"job-{number}", word, attempt=attempt)

    @rule()
    def reconcile(self) -> None:
        self.broker.reconcile()

    @rule(key=keys)
    def cancel(self, key: str) -> None:
        if key in self.requests:
            assert self.broker.cancel(self.requests[key][0]) in set(CancelOutcome)

    @rule(fault=st.sampled_from(_FAULTS))
    def restart(self, fault: str) -> None:
        self.broker.close()
        self.broker, self.vendor = self._start(fault)

    @rule(seconds=st.sampled_from([0.5, 31, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def one_vendor_job_per_token(self) -> None:
        if hasattr(self, "vendor"):
            names = [each["name"] for each in self.vendor.ledger.accepted()]
            assert len(names) == len(set(names))

    @invariant()
    def ends_never_change_and_events_are_in_order(self) -> None:
        if not hasattr(self, "broker"):
            return
        for job in self.broker.list():
            if job.state.is_terminal and not job.inferred:
                assert self.ended.setdefault(job.id, job.state) is job.state
            events: list[Any] = list(job.events(follow=False))
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            terminal = [event for event in events if event.type in ("job_succeeded", "job_failed", "job_cancelled")]
            assert len(terminal) <= 1
            assert bool(terminal) == job.state.is_terminal


def test_P2_P3_P7_hold_through_any_history_of_faults() -> None:
    run_state_machine_as_test(BrokerMachine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))
