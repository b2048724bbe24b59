"""The Batch chain through the real broker, whatever happens to its answers: one array, one merge, one truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mediabroker import Broker, CancelOutcome, ErrorCode, JobFailedError, JobRef, JobState, SuperResolution
from mediabroker.config import BrokerSettings
from mediabroker.messages import InboundMessage
from mediabroker_aws import BatchProvider
from mediabroker_aws.simulator import HOLD, SPOT_LOSS, Exited
from mediabroker_aws.simulator.rigs.batch import BatchRig
from tests.unit.broker.conftest import HandClock

_SETTLE_S = 60.0


class Studio:
    """A broker, the simulated account behind it, and one clock for both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.rig = BatchRig(folder)
        self.rig.simulator.lifecycle.clock = self.clock
        self.rig.publish_outputs()
        self.settings = {**self.rig.settings, "settle_time_s": _SETTLE_S, "poll_interval_s": 0.01}
        self.spec = self.rig.spec("super_resolution")
        self._opened: list[Broker] = []

    def broker(self, **changed: Any) -> Broker:
        broker = make_broker(self.folder, {**self.settings, **changed}, self.rig.store_settings, clock=self.clock)
        self._opened.append(broker)
        return broker

    def names(self) -> list[str]:
        """Which steps Batch has accepted, in order."""
        return [job.name.rpartition("-")[2] for job in self.rig.simulator.jobs()]

    def advance(self, steps: int = 12) -> None:
        for _ in range(steps):
            self.rig.simulator.advance()

    def spoil(self, kind: Any, step: str, times: int = 1) -> None:
        self.rig.simulator.faults.add(
            "SubmitJob", kind, times=times, when=lambda params: params["jobName"].endswith(step)
        )

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        self.rig.close()


def make_broker(folder: Path, settings: Mapping[str, Any], store: Mapping[str, Any], **options: Any) -> Broker:
    chosen = BrokerSettings(
        store=f"sqlite:///{folder / 'jobs.db'}", stores={"s3": dict(store)}, lease_s=0.01, token_key=SecretStr("k" * 32)
    )
    return Broker(chosen, providers={"aws": BatchProvider("aws", settings)}, **options)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with closing(Studio(tmp_path)) as studio:
        yield studio


def test_a_job_ends_with_its_bytes_in_place(studio: Studio) -> None:
    with studio.broker() as broker:
        job = broker.submit(studio.spec, idempotency_key="k")
        assert broker.submit(studio.spec, idempotency_key="k").ref == job.ref
        assert job.state is JobState.QUEUED
        studio.advance()
        result = job.refresh().result(timeout=20)
    assert [(output.uri, output.size_bytes) for output in result.outputs] == [(studio.spec.output, 5)]
    assert studio.names() == ["array", "merge"]


def test_a_plan_reads_the_video_and_shows_the_calls(studio: Studio) -> None:
    with studio.broker() as broker:
        calls = broker.plan(studio.spec).calls
    assert [(call.operation, call.step) for call in calls] == [
        ("ReadMetadata", ""),
        ("HeadObject", ""),
        ("PutObject", "manifest"),
        ("SubmitJob", "array"),
        ("SubmitJob", "merge"),
    ]
    assert calls[3].params["arrayProperties"] == {"size": 3}
    assert calls[4].params["dependsOn"] == [{"jobId": "<array.jobId>"}]
    assert studio.names() == []


def test_a_queue_that_is_gone_is_the_callers_to_mend(studio: Studio) -> None:
    with studio.broker(queues={"spot": "gone"}) as broker:
        job = broker.submit(studio.spec)
        assert job.error
        assert (job.state, job.error.code, job.error.blame) == (JobState.FAILED, ErrorCode.INVALID_SPEC, "caller")
        assert "gone" in job.error.message


def test_success_without_the_bytes_is_no_success(studio: Studio) -> None:
    studio.rig.executor.on_success = None
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance()
        with pytest.raises(JobFailedError) as caught:
            job.result(timeout=20)
    assert caught.value.error.code is ErrorCode.OUTPUT_MISSING


@pytest.mark.parametrize("kind", ["lost", "truncated", "html", "empty", "error_after"])
@pytest.mark.parametrize("step", ["array", "merge"])
def test_S1_a_lost_answer_is_found_again(studio: Studio, kind: str, step: str) -> None:
    studio.spoil(kind, step)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        assert job.state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]


@pytest.mark.parametrize("step", ["array", "merge"])
def test_S4_a_list_that_lags_starts_no_second_job(studio: Studio, step: str) -> None:
    studio.rig.simulator.list_lag_s = _SETTLE_S / 2
    studio.spoil("lost", step)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        assert job.state is JobState.SUBMITTING
        assert job.hold_reason
        studio.clock.advance(_SETTLE_S / 4)
        broker.reconcile()
        assert job.refresh().state is JobState.SUBMITTING
        studio.clock.advance(_SETTLE_S / 4)
        broker.reconcile()
        assert job.refresh().state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]


@pytest.mark.parametrize("step", ["array", "merge"])
def test_S4_what_was_never_accepted_is_sent_again_after_two_searches(studio: Studio, step: str) -> None:
    studio.spoil("error_before", step)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        assert job.state is JobState.SUBMITTING
        studio.clock.advance(_SETTLE_S)
        broker.reconcile()
        assert job.refresh().state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]


def test_S4_another_queue_in_the_settings_is_a_hold_and_never_a_second_job(studio: Studio) -> None:
    studio.rig.simulator.list_lag_s = _SETTLE_S / 2
    studio.spoil("lost", "array")
    studio.broker().submit(studio.spec, idempotency_key="k")
    studio.rig.simulator.add_queue("another")
    studio.clock.advance(_SETTLE_S)
    moved = studio.broker(queues={"spot": "another"})
    moved.reconcile()
    job = moved.submit(studio.spec, idempotency_key="k")
    assert job.state is JobState.SUBMITTING
    assert "another jobQueue" in (job.hold_reason or "")
    assert studio.names() == ["array"]
    studio.broker().reconcile()
    assert job.refresh().state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]


def test_P15_throttling_is_waited_out(studio: Studio) -> None:
    studio.spoil("throttled", "array", times=2)
    with studio.broker() as broker:
        assert broker.submit(studio.spec).state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]


def test_a_chain_whose_merge_is_throttled_keeps_its_array_and_waits(studio: Studio) -> None:
    studio.rig.executor.script("*-array", HOLD)
    studio.spoil("throttled", "merge", times=5)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        assert job.state is JobState.SUBMITTING
        assert "rejects SubmitJob for now" in (job.hold_reason or "")
        studio.clock.advance(120)
        broker.reconcile()
        assert job.refresh().state is not JobState.SUBMITTING
    assert studio.names() == ["array", "merge"]
    assert {each.status for each in studio.rig.simulator.jobs()} & {"FAILED"} == set()


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [((SPOT_LOSS,), ErrorCode.PREEMPTED), ((Exited(65),), ErrorCode.MEDIA_CORRUPT)],
    ids=["machine-lost", "bad-input"],
)
def test_a_child_that_fails_for_good_fails_the_job(studio: Studio, outcomes: Any, code: ErrorCode) -> None:
    studio.rig.executor.script("*-array", *outcomes, index=2)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance(40)
        with pytest.raises(JobFailedError) as caught:
            job.result(timeout=20)
    assert caught.value.error.code is code
    assert "slice 2" in caught.value.error.message


def test_a_child_that_loses_its_machine_does_not_fail_the_job(studio: Studio) -> None:
    studio.rig.executor.script("*-array", SPOT_LOSS, SPOT_LOSS, Exited(), index=0)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance(20)
        assert job.result(timeout=20).outputs


def test_P9_cancel_ends_a_running_chain(studio: Studio) -> None:
    studio.rig.executor.script("*-array", HOLD)
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance(5)
        assert job.refresh().state is JobState.RUNNING
        assert job.cancel() is CancelOutcome.REQUESTED
        studio.advance(3)
        assert job.refresh().state is JobState.CANCELLED
    assert {each.status for each in studio.rig.simulator.jobs()} == {"FAILED"}


def test_P9_cancel_of_a_half_submitted_chain_stops_its_beginning(studio: Studio) -> None:
    studio.rig.executor.script("*-array", HOLD)
    studio.spoil("error_before", "merge")
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        assert job.state is JobState.SUBMITTING
        assert job.cancel() is CancelOutcome.REQUESTED
        studio.clock.advance(_SETTLE_S)
        broker.reconcile()
        assert job.refresh().state is JobState.CANCELLED
    studio.advance(3)
    assert [(each.status, each.reason) for each in studio.rig.simulator.jobs()] == [
        ("FAILED", "cancelled by mediabroker")
    ]


def test_a_reference_is_enough_for_another_store(studio: Studio, tmp_path: Path) -> None:
    with studio.broker() as broker:
        ref = str(broker.submit(studio.spec).ref)
    studio.advance()
    (tmp_path / "elsewhere").mkdir()
    with make_broker(tmp_path / "elsewhere", studio.settings, studio.rig.store_settings) as another:
        job = another.get(JobRef.parse(ref))
        assert [output.uri for output in job.result(timeout=20).outputs] == [studio.spec.output]


def test_P8_events_wake_the_broker_and_a_store_that_never_saw_the_job_adopts_it(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance()
        body = [InboundMessage(json.dumps(event).encode(), "q", event["id"]) for event in studio.rig.events]
        with make_broker(tmp_path / "elsewhere", studio.settings, studio.rig.store_settings) as another:
            for each in reversed(body):
                assert another.ingest(each).outcome == "taken"
            assert another.get(job.ref).state is JobState.SUCCEEDED
        assert broker.ingest(body[-1]).jobs == (job.id,)
        assert job.done()
        assert job.state is JobState.SUCCEEDED


def test_a_forged_event_does_not_choose_what_an_adopting_store_writes(studio: Studio, tmp_path: Path) -> None:
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(b"the user's own")
    (tmp_path / "elsewhere").mkdir()
    with studio.broker() as broker:
        job = broker.submit(studio.spec)
        studio.advance()
    told: Any = studio.rig.events[0]
    (variable,) = [each for each in told["detail"]["container"]["environment"] if "job_id" in each["value"]]
    lies = {"kind": "transcode", "deliver_to": victim.as_uri(), "output": "s3://forged/x.mp4", "overwrite": True}
    variable["value"] = json.dumps({**json.loads(variable["value"]), **lies, "user_data": "forged"})
    with make_broker(tmp_path / "elsewhere", studio.settings, studio.rig.store_settings) as another:
        assert another.ingest(InboundMessage(json.dumps(told).encode(), "q", "1")).jobs == (job.id,)
        adopted = another.get(job.id)
        assert (adopted.kind, adopted.user_data) == (job.kind, studio.spec.user_data)
        assert [each.uri for each in adopted.result(timeout=20).outputs] == [studio.spec.output]
    assert victim.read_bytes() == b"the user's own"


_SUBMIT = """
import json, sys
from pathlib import Path
from tests.reliability.test_batch_chain import submit
submit(**json.load(sys.stdin))
"""


def submit(folder: str, settings: Any, store: Any, spec: Any) -> None:
    """Runs in the child that is killed."""
    make_broker(Path(folder), settings, store).submit(SuperResolution.parse(spec), idempotency_key="k")


def kill_at(step: str, child: list[int]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a submit is of that step; then its sender is killed before the answer."""

    def strike(params: Mapping[str, Any]) -> bool:
        if not params["jobName"].endswith(step):
            return False
        os.kill(child[0], signal.SIGKILL)
        return True

    return strike


@pytest.mark.parametrize("step", ["array", "merge"])
@pytest.mark.parametrize("fault", ["error_before", "lost"], ids=["before-it-is-accepted", "after-it-is-accepted"])
def test_S2_kill_9_between_the_submits_leaves_exactly_one_chain(studio: Studio, step: str, fault: Any) -> None:
    child: list[int] = []
    studio.rig.simulator.faults.add("SubmitJob", fault, when=kill_at(step, child))
    question = {
        "folder": str(studio.folder),
        "settings": studio.settings,
        "store": studio.rig.store_settings,
        "spec": studio.spec.model_dump(mode="json"),
    }
    with subprocess.Popen([sys.executable, "-c", _SUBMIT], stdin=subprocess.PIPE, text=True) as process:
        child.append(process.pid)
        process.communicate(json.dumps(question), timeout=60)
    assert process.returncode == -signal.SIGKILL
    with make_broker(studio.folder, {**studio.settings, "settle_time_s": 0.0}, studio.rig.store_settings) as broker:
        broker.reconcile()
        job = broker.submit(studio.spec, idempotency_key="k")
        assert job.refresh().state is JobState.QUEUED
    assert studio.names() == ["array", "merge"]
