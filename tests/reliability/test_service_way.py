"""A broker that holds only the service's API key: the promises of the direct way hold over HTTP, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, ErrorCode, JobFailedError, JobRef, JobState, SuperResolution
from mediabroker.config import BrokerSettings
from mediabroker.messages import InboundMessage
from mediabroker_aws import BatchOptions, BatchProvider
from tests.unit.aws.upscaling import Service
from tests.unit.broker.conftest import HandClock


class Caller:
    """A broker's store and settings, the deployed service, and one clock for all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, HandClock()
        self.service = Service(folder, clock=self.clock)
        self.service.account.simulator.lifecycle.clock = self.clock
        self.faults = self.service.rig.front.simulator.faults
        self.spec = self.service.rig.spec("super_resolution")
        self._opened: list[Broker] = []

    def broker(self, name: str = "jobs", **changed: Any) -> Broker:
        settings = BrokerSettings(
            store=f"sqlite:///{self.folder / name}.db",
            stores={"s3": self.service.account.store_settings},
            lease_s=0.01,
        )
        way = BatchProvider("aws", {**self.service.rig.settings, "poll_interval_s": 0.01, **changed})
        self._opened.append(Broker(settings, providers={"aws": way}, clock=self.clock))
        return self._opened[-1]

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        self.service.close()


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with closing(Caller(tmp_path)) as caller:
        yield caller


def test_a_job_ends_with_its_bytes_in_place_and_another_store_takes_it_over(caller: Caller) -> None:
    job = caller.broker().submit(caller.spec, idempotency_key="k", options=[BatchOptions(capacity="spot")])
    assert job.state is JobState.QUEUED
    reference = str(job.ref)
    caller.service.advance()
    result = job.refresh().result(timeout=60)
    assert [(output.uri, output.size_bytes) for output in result.outputs] == [(caller.spec.output, 5)]
    adopted = caller.broker("elsewhere").get(JobRef.parse(reference))
    assert adopted.result(timeout=60).outputs[0].uri == caller.spec.output
    assert caller.service.steps() == ["array", "merge"]


def test_a_plan_shows_the_one_request_and_no_key(caller: Caller) -> None:
    plan = caller.broker().plan(caller.spec)
    (call,) = plan.calls
    assert (call.operation, call.params["path"], call.effect) == ("POST", "", "create")
    assert "key-of-the-rig" not in plan.model_dump_json()
    assert caller.service.steps() == []


def test_a_plan_over_the_original_lists_what_it_cannot_express(caller: Caller) -> None:
    with pytest.raises(ValueError, match=r"output: .* the original service writes"):
        caller.broker(service_dialect="original").plan(caller.spec)


@pytest.mark.parametrize("fault", ["lost", "truncated", "html", "empty", "error_after", "error_before"])
def test_a_lost_answer_of_the_service_starts_no_second_chain(caller: Caller, fault: Any) -> None:
    caller.faults.add("POST /prod", fault)
    broker = caller.broker()
    job = broker.submit(caller.spec, idempotency_key="k")
    caller.clock.advance(1)
    broker.reconcile()
    assert job.refresh().state is JobState.QUEUED
    assert caller.service.steps() == ["array", "merge"]


def test_a_refused_request_fails_with_the_services_reason(caller: Caller) -> None:
    absent = SuperResolution(input=f"s3://{caller.service.account.bucket}/in/none.mp4", output=caller.spec.output)
    job = caller.broker().submit(absent)
    assert job.error
    assert (job.state, job.error.code) == (JobState.FAILED, ErrorCode.INPUT_NOT_FOUND)


def test_a_cancel_stops_the_whole_chain(caller: Caller) -> None:
    job = caller.broker().submit(caller.spec)
    job.cancel()
    caller.service.advance()
    with pytest.raises(JobFailedError) as caught:
        job.refresh().result(timeout=60)
    assert caught.value.error.code is ErrorCode.CANCELLED
    assert {each.status for each in caller.service.account.simulator.jobs()} == {"FAILED"}


def test_a_forged_event_does_not_choose_what_an_adopting_store_reports_or_writes(
    caller: Caller, tmp_path: Path
) -> None:
    caller.broker().submit(caller.spec)
    caller.service.advance()
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(b"the user's own")
    told: Any = caller.service.account.events[0]
    (variable,) = [each for each in told["detail"]["container"]["environment"] if "job_id" in each["value"]]
    lies = {"kind": "transcode", "output": "s3://forged/x.mp4", "deliver_to": victim.as_uri(), "overwrite": True}
    variable["value"] = json.dumps({**json.loads(variable["value"]), **lies, "user_data": "forged"})
    another = caller.broker("elsewhere")
    (job_id,) = another.ingest(InboundMessage(json.dumps(told).encode(), "q", "1")).jobs
    adopted = another.get(job_id)
    assert (adopted.kind, adopted.user_data) == ("super_resolution", None)
    assert [each.uri for each in adopted.result(timeout=60).outputs] == [caller.spec.output]
    assert victim.read_bytes() == b"the user's own"


def test_batchs_events_wake_the_broker_and_let_another_adopt_the_job(caller: Caller) -> None:
    broker = caller.broker()
    job = broker.submit(caller.spec)
    caller.service.advance()
    bodies = [InboundMessage(json.dumps(event).encode(), "q", event["id"]) for event in caller.service.account.events]
    assert {broker.ingest(each).outcome for each in bodies} == {"taken"}
    assert job.refresh().result(timeout=60).outputs[0].uri == caller.spec.output
    another = caller.broker("elsewhere")
    assert {another.ingest(each).outcome for each in bodies} == {"taken"}
