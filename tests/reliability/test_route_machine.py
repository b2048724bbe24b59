"""Two vendors, of which one must be staged for, through any history of faults: driven by hypothesis.

The model is what lies outside the broker: both ledgers, and the staging place.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.errors import UnavailableError
from mediabroker.refs import MediaURI
from mediabroker.spi import CancelOutcome
from tests.ledger import LedgerProvider
from tests.stores import BucketFolders
from tests.unit.broker.conftest import HandClock

_FAULTS = ("", "", "", "", "only:reset", "only:no-id", "only:refuse")
_WORDS = ("working", "done", "done", "broken", "broken", "stopped")
_ENDED = _WORDS[1:]
_ORDERS = (["far", "near"], ["near", "far"], ["near", "far"], "far")


_met: set[str] = set()
"""What the run has come across; a test of nothing would pass, too."""


class RouteMachine(RuleBasedStateMachine):
    """One store, one staging place, two ledgers; brokers come and go."""

    keys = Bundle("keys")

    @initialize(far=st.sampled_from(_FAULTS), down=st.booleans())
    def open(self, far: str, down: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        (self.folder / "in.mp4").write_bytes(b"a video")
        self.clock = HandClock()
        self.ended: dict[str, JobState] = {}
        self.ids: dict[str, str] = {}
        self.storage_is_down = down
        self.buckets = BucketFolders(self.folder / "buckets", self._strike)
        self.broker = self._start(far, "")

    def _start(self, far: str, near: str) -> Broker:
        common = {"steps": ["only"]}
        self.far = LedgerProvider("far", {**common, "folder": self.folder / "far", "fault": far, "schemes": ["s3"]})
        self.near = LedgerProvider("near", {**common, "folder": self.folder / "near", "fault": near})
        staging: Any = {"s3": "s3://staging/jobs"}
        chosen = BrokerSettings(store=f"sqlite:///{self.folder / 'jobs.db'}", staging=staging)
        broker = Broker(chosen, providers={"far": self.far, "near": self.near}, clock=self.clock)
        broker._core.stores._open["s3"] = self.buckets
        return broker

    def _strike(self, moment: str, uri: MediaURI) -> None:
        if self.storage_is_down and moment in ("read", "write"):
            raise UnavailableError("the store is out of order")

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.broker.close()
            self._folder.cleanup()

    @rule(target=keys, key=st.sampled_from("abcdef"), order=st.sampled_from(_ORDERS))
    def submit(self, key: str, order: Any) -> str:
        spec = Transcode(input=self.folder / "in.mp4", output=self.folder / f"{key}.mp4", overwrite=True)
        job = self.broker.submit(spec, idempotency_key=key, provider=order)
        assert self.ids.setdefault(key, job.id) == job.id
        return key

    @rule(far=st.sampled_from(_FAULTS), near=st.sampled_from(_FAULTS))
    def restart(self, far: str, near: str) -> None:
        self.broker.close()
        self.broker = self._start(far, near)

    @rule(down=st.sampled_from([False, False, True]))
    def storage(self, down: bool) -> None:
        self.storage_is_down = down

    @rule(number=st.integers(0, 7), word=st.sampled_from(_WORDS))
    def vendor_moves(self, number: int, word: str) -> None:
        """One of the vendor jobs that have not ended; what is done has written its output."""
        open_jobs = [
            (vendor, each)
            for vendor in (self.far, self.near)
            for each in vendor.ledger.accepted()
            if vendor.ledger.words()[each["id"]]["word"] not in _ENDED
        ]
        if not open_jobs:
            return
        vendor, job = open_jobs[number % len(open_jobs)]
        if word == "done" and vendor is self.far:
            down, self.storage_is_down = self.storage_is_down, False  # the vendor's own way to it
            self.buckets.put(job["output"], b"made far away")
            self.storage_is_down = down
        elif word == "done":
            MediaURI(job["output"]).path.write_bytes(b"made nearby")
        vendor.ledger.say(job["id"], word)

    @rule()
    def reconcile(self) -> None:
        self.broker._access.refresh()

    @rule(key=keys, really=st.sampled_from([False, False, True]))
    def cancel(self, key: str, really: bool) -> None:
        if really:
            assert self.broker.cancel(self.ids[key]) in set(CancelOutcome)

    @rule(seconds=st.sampled_from([0.5, 31, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def one_vendor_job_per_attempt(self) -> None:
        if hasattr(self, "broker"):
            for vendor in (self.far, self.near):
                names = [each["name"] for each in vendor.ledger.accepted()]
                assert len(names) == len(set(names))

    @invariant()
    def one_attempt_at_a_time_and_a_follower_only_after_a_failure(self) -> None:
        for job in self.broker.list() if hasattr(self, "broker") else ():
            *before, last = job.attempts
            assert all(each.state is JobState.FAILED and each.error is not None for each in before)
            assert len(job.attempts) <= 2
            assert last.state.is_terminal or not job.state.is_terminal
            _met.update({f"{job.state}", f"followed by {last.provider}"} if before else {f"{job.state}"})
            told = [event.type for event in job.events(follow=False)].count("job_attempt_failed")
            assert told == len(before)

    @invariant()
    def ends_never_change_and_success_means_that_the_bytes_are_there(self) -> None:
        for job in self.broker.list() if hasattr(self, "broker") else ():
            if job.state.is_terminal and not job.inferred:
                assert self.ended.setdefault(job.id, job.state) is job.state
            if job.state is JobState.SUCCEEDED:
                assert job.spec is not None
                wrote = b"made far away" if job.attempts[-1].provider == "far" else b"made nearby"
                assert job.spec.output.path.read_bytes() == wrote
                _met.add(f"success {job.attempts[-1].provider}, attempt {len(job.attempts)}")

    @invariant()
    def nothing_is_staged_for_an_attempt_that_has_ended(self) -> None:
        if not hasattr(self, "broker"):
            return
        staged = {name.split("/")[1] for name in self.buckets.names("staging")}
        with self.broker._core.store.read() as tx:
            rows = tx.exec_driver_sql("SELECT token, ended_at FROM attempts").all()
        assert staged <= {row.token for row in rows if row.ended_at is None} | self._late_tokens()

    def _late_tokens(self) -> set[str]:
        """Of attempts that ended by inference: the vendor may still read what was staged."""
        inferred = {job.id for job in self.broker.list() if job.inferred}
        return {each["origin"]["token"] for each in self.far.ledger.accepted() if each["origin"]["job_id"] in inferred}


_SETTINGS = settings(max_examples=80, stateful_step_count=30, deadline=None, derandomize=True)
"""The same histories each time, so that what they must have met is met for certain."""


def test_routes_and_staging_hold_through_any_history_of_faults() -> None:
    _met.clear()
    run_state_machine_as_test(RouteMachine, settings=_SETTINGS)
    assert _met >= {*map(str, JobState)}, _met
    assert {each.split(",")[0] for each in _met} & {"followed by far", "followed by near"}, _met
    assert any(each.startswith("success far") for each in _met), _met
