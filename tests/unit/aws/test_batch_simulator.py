"""The Batch simulator: its state rules, with a clock that a test moves, and its wire, as the real boto3 meets it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mediabroker_aws.simulator import (
    HOLD,
    SPOT_LOSS,
    BatchServer,
    BatchSimulator,
    Exited,
    ProcessExecutor,
    ScriptedExecutor,
)
from mediabroker_aws.simulator.batch.wire import WireError, parse_request
from tests.unit.broker.conftest import HandClock

KEY, SECRET = "AKIDCANARY", "secret-canary"


class Account:
    """A simulated account with one queue and one definition, spoken to directly."""

    def __init__(self, executor: Any = None, **settings: Any) -> None:
        self.clock = HandClock()
        self.executor = executor or ScriptedExecutor()
        self.events: list[dict[str, Any]] = []
        self.sim = BatchSimulator(self.executor, clock=self.clock, sink=self.events.append, **settings)
        self.sim.add_queue("q")
        container = {"image": "i", "command": ["run", "Ref::what"], "environment": [{"name": "A", "value": "1"}]}
        self.sim.call(
            "RegisterJobDefinition",
            {"jobDefinitionName": "d", "type": "container", "containerProperties": container},
        )

    def submit(self, name: str = "job", **params: Any) -> str:
        given = {"jobName": name, "jobQueue": "q", "jobDefinition": "d", **params}
        return str(self.sim.call("SubmitJob", given)["jobId"])

    def array(self, size: int, name: str = "array", **params: Any) -> str:
        return self.submit(name, arrayProperties={"size": size}, **params)

    def see(self, *ids: str) -> list[dict[str, Any]]:
        return list(self.sim.call("DescribeJobs", {"jobs": list(ids)})["jobs"])

    def status(self, *ids: str) -> list[str]:
        return [each["status"] for each in self.see(*ids)]

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.sim.advance()

    def listed(self, **params: Any) -> list[str]:
        found = self.sim.call("ListJobs", params)["jobSummaryList"]
        return [each["jobName"] for each in found]


@pytest.fixture
def account() -> Account:
    return Account()


def named(name: str) -> list[dict[str, Any]]:
    return [{"name": "JOB_NAME", "values": [name]}]


def test_a_job_passes_every_state_in_order(account: Account) -> None:
    job = account.submit()
    seen = account.status(job)
    for _ in range(4):
        account.steps(1)
        seen += account.status(job)
    assert seen == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert [event["detail"]["status"] for event in account.events] == seen[1:], "none for the submission itself"


def test_an_attempt_sees_its_command_and_batchs_variables(account: Account) -> None:
    overrides = {"environment": [{"name": "B", "value": "2"}]}
    array = account.array(2, parameters={"what": "slices"}, containerOverrides=overrides)
    account.steps(4)
    task = account.executor.started[1]
    assert task.command == ("run", "slices")
    assert task.environment["A"] + task.environment["B"] == "12"
    assert task.environment["AWS_BATCH_JOB_ID"] == f"{array}:1"
    assert (task.environment["AWS_BATCH_JOB_ARRAY_INDEX"], task.environment["AWS_BATCH_JOB_ATTEMPT"]) == ("1", "1")


def test_an_arrays_parent_is_pending_until_its_last_child_ended(account: Account) -> None:
    account.executor.script("array", HOLD, index=1)
    array = account.array(3)
    account.steps(6)
    (parent,) = account.see(array)
    assert parent["status"] == "PENDING"
    summary = {word: count for word, count in parent["arrayProperties"]["statusSummary"].items() if count}
    assert summary == {"SUCCEEDED": 2, "RUNNING": 1}


def test_one_failed_child_fails_the_array_and_what_depends_on_it(account: Account) -> None:
    account.executor.script("array", Exited(1), index=2)
    array = account.array(3)
    merge = account.submit("merge", dependsOn=[{"jobId": array}])
    account.steps(8)
    assert account.status(array, f"{array}:0", f"{array}:2", merge) == ["FAILED", "SUCCEEDED", "FAILED", "FAILED"]
    assert "merge" not in {task.job_name for task in account.executor.started}


def test_a_dependent_waits_for_the_whole_array(account: Account) -> None:
    account.executor.script("array", HOLD, index=0)
    array = account.array(2)
    merge = account.submit("merge", dependsOn=[{"jobId": array}])
    account.steps(8)
    assert account.status(merge) == ["PENDING"]


def test_n_to_n_pairs_children_and_sequential_runs_them_one_by_one(account: Account) -> None:
    account.executor.script("first", HOLD, index=1)
    first = account.array(2, "first", dependsOn=[])
    second = account.array(2, "second", dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    queue = account.array(3, "queue", dependsOn=[{"type": "SEQUENTIAL"}])
    account.steps(10)
    assert account.status(f"{second}:0", f"{second}:1") == ["SUCCEEDED", "PENDING"]
    account.steps(8)
    order = [task.index for task in account.executor.started if task.job_name == "queue"]
    assert order == [0, 1, 2]
    assert account.status(queue) == ["SUCCEEDED"]


def test_an_event_tells_the_job_as_it_is_now(account: Account) -> None:
    array = account.array(2, tags={"mine": "yes"})
    account.steps(1)
    event = account.events[0]
    assert (event["source"], event["detail-type"]) == ("aws.batch", "Batch Job State Change")
    assert event["resources"] == [event["detail"]["jobArn"]]
    assert (event["detail"]["jobId"], event["detail"]["status"]) == (f"{array}:0", "RUNNABLE")
    assert event["detail"]["arrayProperties"] == {"index": 0}
    assert event["detail"]["tags"] == {"mine": "yes", "resourceArn": event["detail"]["jobArn"]}
    assert event["time"] == "2026-01-01T00:00:00Z"
    assert json.loads(json.dumps(event)) == event


RETRY_ONLY_SPOT = [{"onStatusReason": "Host EC2*", "action": "retry"}, {"onReason": "*", "action": "EXIT"}]


@pytest.mark.parametrize(
    ("outcomes", "rules", "attempts"),
    [
        ([SPOT_LOSS, SPOT_LOSS, Exited()], RETRY_ONLY_SPOT, 3),
        ([Exited(1), Exited()], RETRY_ONLY_SPOT, 1),
        ([Exited(1), Exited()], [{"onExitCode": "7", "action": "EXIT"}], 2),
        ([Exited(75), Exited()], [{"onExitCode": "7*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}], 2),
        ([SPOT_LOSS, Exited()], [{"onExitCode": "*", "action": "EXIT"}], 2),
        ([Exited(1), Exited()], [], 2),
        ([Exited(1)] * 9, [], 4),
    ],
    ids=["listed", "last-rule-exits", "no-rule-retries", "exit-code", "no-exit-code", "no-rules", "used-up"],
)
def test_evaluate_on_exit(account: Account, outcomes: Any, rules: Any, attempts: int) -> None:
    account.executor.script("job", *outcomes)
    job = account.submit(retryStrategy={"attempts": 4, "evaluateOnExit": rules})
    account.steps(20)
    (seen,) = account.see(job)
    assert len(seen["attempts"]) == attempts
    assert seen["status"] == ("SUCCEEDED" if outcomes[attempts - 1] == Exited() else "FAILED")


def test_a_retry_goes_back_to_runnable(account: Account) -> None:
    account.executor.script("job", HOLD)
    job = account.submit(retryStrategy={"attempts": 2})
    account.steps(3)
    account.sim.lose_host(job)
    (seen,) = account.see(job)
    assert seen["status"] == "RUNNABLE"
    assert seen["statusReason"].startswith("Host EC2")


def test_cancel_does_nothing_to_a_running_job_and_says_nothing(account: Account) -> None:
    account.executor.script("job", HOLD)
    job = account.submit()
    account.steps(3)
    account.sim.call("CancelJob", {"jobId": job, "reason": "why"})
    account.steps(3)
    assert account.status(job) == ["RUNNING"]


def test_cancel_of_a_pending_job_waits_for_its_dependencies(account: Account) -> None:
    account.executor.script("first", HOLD)
    first = account.submit("first")
    second = account.submit("second", dependsOn=[{"jobId": first}])
    account.steps(3)
    account.sim.call("CancelJob", {"jobId": second, "reason": "why"})
    account.steps(3)
    assert account.status(second) == ["PENDING"]
    account.sim.call("TerminateJob", {"jobId": first, "reason": "enough"})
    account.steps(2)
    (seen,) = account.see(second)
    assert (seen["status"], seen["statusReason"], seen["isCancelled"]) == ("FAILED", "why", True)


def test_terminate_covers_every_state_and_every_child(account: Account) -> None:
    account.executor.script("array", HOLD)
    array, waiting = account.array(2), account.submit("waiting")
    merge = account.submit("merge", dependsOn=[{"jobId": array}])
    account.sim.call("TerminateJob", {"jobId": waiting, "reason": "stop"})
    account.steps(5)
    for job in (merge, array):
        account.sim.call("TerminateJob", {"jobId": job, "reason": "stop"})
    account.steps(3)
    seen = account.see(array, f"{array}:0", merge, waiting)
    assert {each["status"] for each in seen} == {"FAILED"}
    assert {each["statusReason"] for each in seen} == {"stop"}
    assert {each["isTerminated"] for each in seen} == {True}


def test_a_terminated_job_is_not_tried_again_and_is_killed_after_30_s() -> None:
    account = Account(ScriptedExecutor(stubborn=True))
    account.executor.script("job", HOLD)
    job = account.submit(retryStrategy={"attempts": 5})
    account.steps(3)
    account.sim.call("TerminateJob", {"jobId": job, "reason": "stop"})
    account.clock.advance(29)
    account.steps(2)
    assert account.status(job) == ["RUNNING"]
    account.clock.advance(1)
    account.steps(2)
    (seen,) = account.see(job)
    assert (seen["status"], seen["container"]["exitCode"], len(seen["attempts"])) == ("FAILED", 137, 1)


def test_an_attempt_that_takes_too_long_ends_without_another(account: Account) -> None:
    account.executor.script("job", HOLD)
    job = account.submit(timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 5})
    account.steps(4)
    account.clock.advance(60)
    account.steps(2)
    (seen,) = account.see(job)
    assert (seen["status"], seen["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")


def test_what_cannot_be_placed_stays_runnable_until_the_queues_limit(account: Account) -> None:
    account.sim.lifecycle.blocked = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    account.sim.lifecycle.runnable_limits_s = {"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": 600}
    job = account.submit()
    account.steps(3)
    assert account.see(job)[0]["statusReason"] == "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    account.clock.advance(600)
    account.steps(1)
    assert account.status(job) == ["FAILED"]


def test_only_as_many_run_as_there_is_room_for(account: Account) -> None:
    account.sim.lifecycle.capacity = 2
    account.executor.script("array", HOLD)
    array = account.array(5)
    account.steps(6)
    assert account.see(array)[0]["arrayProperties"]["statusSummary"]["RUNNING"] == 2


def test_a_list_shows_running_jobs_unless_told_otherwise(account: Account) -> None:
    account.executor.script("runs", HOLD)
    account.submit("runs")
    account.steps(3)
    account.submit("waits")
    assert account.listed(jobQueue="q") == ["runs"]
    assert account.listed(jobQueue="q", jobStatus="SUBMITTED") == ["waits"]


def test_a_list_by_name_ignores_case_and_status_and_sees_no_children(account: Account) -> None:
    array = account.array(2, "Mb-Abc-array")
    account.steps(6)
    account.submit("mb-abc-merge")
    assert sorted(account.listed(jobQueue="q", filters=named("MB-ABC-*"))) == ["Mb-Abc-array", "mb-abc-merge"]
    assert account.listed(jobQueue="q", filters=named("mb-abc")) == []
    assert len(account.listed(arrayJobId=array, jobStatus="SUCCEEDED")) == 2


def test_lists_come_in_pages(account: Account) -> None:
    for number in range(5):
        account.submit(f"j{number}")
    found, page = [], None
    while True:
        asked = {"jobQueue": "q", "filters": named("j*"), "maxResults": 2, **({"nextToken": page} if page else {})}
        answer = account.sim.call("ListJobs", asked)
        found += [each["jobName"] for each in answer["jobSummaryList"]]
        assert len(answer["jobSummaryList"]) <= 2
        page = answer["nextToken"]
        if page is None:
            break
    assert sorted(found) == ["j0", "j1", "j2", "j3", "j4"]


def test_a_new_job_may_be_missing_from_lists_for_a_while() -> None:
    account = Account(list_lag_s=30.0)
    job = account.submit("late")
    assert account.listed(jobQueue="q", filters=named("late")) == []
    assert account.status(job) == ["SUBMITTED"]
    account.clock.advance(30)
    assert account.listed(jobQueue="q", filters=named("late")) == ["late"]


def test_what_ended_long_ago_is_forgotten_and_unknown_ids_are_left_out(account: Account) -> None:
    job, array = account.submit(), account.array(2)
    account.steps(8)
    assert len(account.see(job, array, f"{array}:1", f"{array}:2", "nobody")) == 3
    account.clock.advance(8 * 86_400)
    assert account.see(job, array, f"{array}:1") == []
    assert account.listed(jobQueue="q", filters=named("*")) == []


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"jobName": "-starts-wrong"}, "jobName"),
        ({"jobName": "x" * 129}, "jobName"),
        ({"jobQueue": "nowhere"}, "nowhere"),
        ({"jobDefinition": "d:7"}, "d:7"),
        ({"arrayProperties": {"size": 1}}, "10000"),
        ({"arrayProperties": {"size": 10_001}}, "10000"),
        ({"dependsOn": [{"jobId": "nobody"}]}, "nobody"),
        ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "SEQUENTIAL"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "timeout"),
        ({"retryStrategy": {"attempts": 11}}, "attempts"),
        ({"retryStrategy": {"evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]}}, "onReason"),
        ({"retryStrategy": {"evaluateOnExit": [{"onReason": "*", "action": "STOP"}]}}, "action"),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": ""}]}}, "reserved"),
        ({"containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]}}, "30 KiB"),
    ],
)
def test_what_batch_refuses_is_refused(account: Account, params: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WireError, match=complaint) as caught:
        account.submit(**{"name": params.pop("jobName", "job"), **params})
    assert (caught.value.status, caught.value.code) == (400, "ClientException")
    assert account.sim.jobs() == []


def test_a_process_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    words = "import os, time; print(os.environ['AWS_BATCH_JOB_ID'], flush=True); time.sleep(60)"
    executor = ProcessExecutor({"PYTHONUNBUFFERED": "1"}, tmp_path)
    account = Account(executor)
    job = account.submit(containerOverrides={"command": [sys.executable, "-c", words]})
    account.steps(3)
    log = tmp_path / f"{job}.1.log"
    until(lambda: log.read_text().strip() == job)
    account.sim.call("TerminateJob", {"jobId": job, "reason": "stop"})
    until(lambda: account.sim.advance() or account.status(job) == ["FAILED"])
    assert account.see(job)[0]["container"]["exitCode"] == 143


def test_a_container_starts_its_images_command_and_sees_nothing_of_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-host")
    words = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    executor = ProcessExecutor({"OF_IMAGE": "1"}, tmp_path, entrypoint=(sys.executable, "-c", words), command=("work",))
    account = Account(executor)
    bare = {"jobDefinitionName": "bare", "type": "container", "containerProperties": {"image": "worker"}}
    account.sim.call("RegisterJobDefinition", bare)
    jobs = [account.submit(jobDefinition="bare"), account.submit(containerOverrides={"command": ["merge", "x"]})]
    until(lambda: account.sim.advance() or account.status(*jobs) == ["SUCCEEDED"] * 2)
    told = [json.loads((tmp_path / f"{job}.1.log").read_text()) for job in jobs]
    assert [arguments for arguments, _ in told] == [["work"], ["merge", "x"]]
    for _, environment in told:
        assert environment["OF_IMAGE"] == "1"
        assert "AWS_SECRET_ACCESS_KEY" not in environment


def until(true: Callable[[], Any]) -> None:
    give_up_at_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[BatchServer]:
    account = Account()
    with BatchServer(account.sim, secrets={KEY: SECRET}) as server:
        yield server


def client(server: BatchServer, **options: Any) -> Any:
    once = Config(retries={"total_max_attempts": 1}, read_timeout=5)
    session = boto3.session.Session(**{"region_name": "eu-west-1", **options})
    return session.client("batch", endpoint_url=server.url, config=once)


JOB = {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}


def test_boto3_submits_describes_and_tags(server: BatchServer) -> None:
    batch = client(server)
    submitted = batch.submit_job(**JOB, arrayProperties={"size": 2}, tags={"a": "b"})
    assert submitted["jobArn"] == f"arn:aws:batch:eu-west-1:123456789012:job/{submitted['jobId']}"
    batch.tag_resource(resourceArn=submitted["jobArn"], tags={"c": "ü d"})
    (job,) = batch.describe_jobs(jobs=[submitted["jobId"]])["jobs"]
    assert job["tags"] == {"a": "b", "c": "ü d"}
    assert "startedAt" not in job
    assert batch.describe_job_queues()["jobQueues"][0]["jobQueueName"] == "q"
    batch.close()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"aws_secret_access_key": "wrong", "aws_access_key_id": KEY}, "InvalidSignatureException"),
        ({"aws_secret_access_key": SECRET, "aws_access_key_id": "AKIDNOBODY"}, "UnrecognizedClientException"),
        ({"region_name": "us-east-1"}, "InvalidSignatureException"),
    ],
)
def test_a_wrong_signature_is_refused(server: BatchServer, options: dict[str, str], code: str) -> None:
    batch = client(server, **options)
    with pytest.raises(ClientError) as caught:
        batch.submit_job(**JOB)
    assert caught.value.response["Error"]["Code"] == code
    assert server.simulator.jobs() == []
    batch.close()


def test_more_than_100_ids_are_refused(server: BatchServer) -> None:
    batch = client(server)
    with pytest.raises(ClientError, match="Maximum number of jobs supported is 100"):
        batch.describe_jobs(jobs=[str(number) for number in range(101)])
    batch.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/submitjob", b'{"jobName": "j", "jobQueue": "q"}'),
        ("/v1/submitjob", b'{"jobName": "j", "jobQueue": "q", "jobDefinition": "d", "clientToken": "t"}'),
        ("/v1/submitjob", b'{"jobName": "j", "jobQueue": "q", "jobDefinition": "d", "parameters": {"scale": 2}}'),
        ("/v1/submitjob", b"["),
        ("/v1/nothing", b"{}"),
    ],
    ids=["missing", "no-such-parameter", "parameters-are-strings", "no-json", "no-such-operation"],
)
def test_a_request_that_the_model_does_not_allow_is_refused(path: str, body: bytes) -> None:
    with pytest.raises(WireError):
        parse_request("POST", path, body)


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("lost", 1),
        ("truncated", 1),
        ("html", 1),
        ("empty", 1),
        ("error_after", 1),
        ("error_before", 0),
        ("throttled", 0),
    ],
)
def test_a_spoilt_answer_does_not_tell_what_happened(server: BatchServer, kind: Any, accepted: int) -> None:
    server.simulator.faults.add("SubmitJob", kind)
    batch = client(server)
    try:
        assert "jobId" not in batch.submit_job(**JOB)
    except (BotoCoreError, ClientError) as error:
        assert kind != "throttled" or "TooManyRequestsException" in str(error)
    assert len(server.simulator.jobs()) == accepted
    assert "jobId" in batch.submit_job(**JOB), "the fault is used up"
    batch.close()


def test_jobs_move_by_themselves_where_they_are_let() -> None:
    account = Account()
    job = account.submit()
    with BatchServer(account.sim, pump_s=0.005):
        until(lambda: account.status(job) == ["SUCCEEDED"])


def test_an_array_may_have_10000_children(account: Account) -> None:
    array = account.array(10_000)
    account.sim.lifecycle.capacity = 9_999
    account.steps(3)
    assert account.see(array)[0]["arrayProperties"]["statusSummary"]["RUNNING"] == 9_999
