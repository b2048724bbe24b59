"""What holds for every request and every history: the SDK's signatures verify, and jobs only move forward."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.mps import MpsService, Outcome, ScriptedExecutor
from mediabroker_alibaba.simulator.mps.jobs import Job
from mediabroker_alibaba.simulator.mps.rpc import build_string_to_sign, read_params, sign
from mediabroker_alibaba.simulator.seams import InMemoryQueues
from mediabroker_alibaba.simulator.server import Request
from mediabroker_alibaba.simulator.world import World

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_ORDER = {"waiting": 0, "running": 1, "succeeded": 2, "failed": 2, "cancelled": 2}


_PARAMS = st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=6)


@given(_PARAMS, _PARAMS, st.sampled_from(["GET", "POST"]))
def test_sdk_and_simulator_sign_alike(query: dict[str, str], form: dict[str, str], method: str) -> None:
    form = {name: value for name, value in form.items() if name not in query}
    url, string_to_sign = get_signed_url(dict(query), "key", "secret", "JSON", method, form)
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    params = read_params(Request(method, url, headers, BytesIO(urlencode(form).encode())))
    assert build_string_to_sign(method, params) == string_to_sign
    assert sign(string_to_sign, "secret") == params["Signature"]


class Histories(RuleBasedStateMachine):
    """One pipeline that holds two jobs at a time, whatever is done to it in whatever order."""

    @initialize()
    def open(self) -> None:
        self.queues = InMemoryQueues()
        self.queues.create("1", "r", "q")
        self.world = World(SimulatedClock(datetime(2026, 1, 1, tzinfo=timezone.utc), frozen=True))
        self.executor = ScriptedExecutor(lambda job: None if job.user_data == "slow" else Outcome())
        self.service = MpsService(self.world, self.executor, self.queues)
        self.pipeline_id = self.service.add_pipeline("1", "r", "p", queue="q")
        self.shelf = self.service.state.shelf("1", "r", self.world.clock.now())
        self.pipeline = self.shelf.pipelines[self.pipeline_id]
        self.pipeline.concurrency = 2
        self.seen: dict[str, int] = {}

    @rule(slow=st.booleans(), priority=st.integers(1, 10))
    def submit(self, slow: bool, priority: int) -> None:
        job = Job(
            kind="transcode",
            account="1",
            region="r",
            pipeline_id=self.pipeline_id,
            created_at=self.world.clock.now(),
            request={},
            user_data="slow" if slow else None,
            priority=priority,
        )
        self.service.engine.submit(self.shelf, job, "SubmitJobs")

    @rule()
    def step(self) -> None:
        self.service.engine.step()

    @rule(ok=st.booleans())
    def release(self, ok: bool) -> None:
        self.executor.release(Outcome() if ok else Outcome("InternalError", "no"))

    @rule(state=st.sampled_from(["Active", "Paused"]))
    def switch(self, state: str) -> None:
        self.pipeline.state = state

    @precondition(lambda self: any(job.state == "waiting" for job in self.shelf.jobs.values()))
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        waiting = [job for job in self.shelf.jobs.values() if job.state == "waiting"]
        self.service.engine.cancel(data.draw(st.sampled_from(waiting)))

    @rule(seconds=st.integers(0, 60))
    def pass_time(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @invariant()
    def jobs_only_move_forward(self) -> None:
        for job in self.shelf.jobs.values():
            assert _ORDER[job.state] >= self.seen.get(job.id, 0)
            self.seen[job.id] = _ORDER[job.state]

    @invariant()
    def no_more_than_two_run_and_each_starts_once(self) -> None:
        assert sum(job.state == "running" for job in self.shelf.jobs.values()) <= 2
        assert max(Counter(job.id for job in self.executor.started).values(), default=1) == 1

    @invariant()
    def each_end_is_told_once_and_cancelled_ones_never_start(self) -> None:
        ended = [job for job in self.shelf.jobs.values() if job.state in ("succeeded", "failed")]
        assert len(self.queues.posted["1", "r", "q"]) == len(ended)
        cancelled = {job.id for job in self.shelf.jobs.values() if job.state == "cancelled"}
        assert cancelled.isdisjoint(job.id for job in self.executor.started)

    def teardown(self) -> None:
        self.pipeline.state = "Active"
        self.executor.decide = lambda _: Outcome()
        self.executor.release()
        self.service.engine.settle()
        assert all(job.has_ended for job in self.shelf.jobs.values())
        assert len(self.world.ledger.entries()) == len(self.shelf.jobs)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=30, stateful_step_count=25)
