"""The provider `aws-batch`: what it sends, what it reads, what it refuses, and how it stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker import SuperResolution
from mediabroker.errors import ConfigurationError, ErrorCode, ProviderError, UnsupportedError
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, CancelOutcome, Member, MemberStatus, Reply, drive
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver, new_context
from mediabroker.testing.rig import attempt_of, start, watch
from mediabroker_aws import BatchOptions, BatchProvider
from mediabroker_aws.batch.requests import choose_slices
from mediabroker_aws.simulator import HOLD, SPOT_LOSS, Exited
from mediabroker_aws.simulator.rigs.batch import BatchRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BatchRig]:
    with closing(BatchRig(tmp_path)) as rig:
        yield rig


@pytest.fixture
def driver(rig: BatchRig) -> Iterator[Driver]:
    with Driver(rig.open()) as driver:
        yield driver


def request(rig: BatchRig, **fields: Any) -> SuperResolution:
    made = rig.spec(rig.kind)
    assert isinstance(made, SuperResolution)
    return made.model_copy(update=fields)


def sent(driver: Driver, operation: str = "SubmitJob") -> list[Any]:
    return [call.params for call in driver.calls() if call.operation == operation]


def test_a_long_video_is_an_array_and_a_merge_that_waits_for_it(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    array, merge = sent(driver)
    assert array["arrayProperties"] == {"size": 3}
    assert merge["dependsOn"] == [{"jobId": started.members[0].native_id}]
    assert [params["parameters"]["task"] for params in (array, merge)] == ["slice", "merge"]
    assert {params["jobName"] for params in (array, merge)} == {
        f"mb-{started.ctx.token}-array",
        f"mb-{started.ctx.token}-merge",
    }
    assert array["tags"]["mediabroker:token"] == started.ctx.token
    assert array["retryStrategy"]["evaluateOnExit"][-1] == {"onReason": "*", "action": "EXIT"}


def test_a_video_of_one_slice_is_a_single_job(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig, slice_s=60.0))
    (single,) = sent(driver)
    assert "arrayProperties" not in single
    assert single["parameters"]["task"] == "single"
    assert [member.role for member in started.members] == ["single"]
    assert watch(rig, driver, started)[-1].state is JobState.SUCCEEDED


def test_the_manifest_tells_the_workers_everything(rig: BatchRig, driver: Driver) -> None:
    spec = request(rig, scale=4, debug=True)
    started = start(driver, spec)
    key = f"wip/{started.ctx.token}/manifest.json"
    manifest = json.loads(rig.s3.get_object(Bucket=rig.bucket, Key=key)["Body"].read())
    assert (manifest["slice_count"], manifest["job"]["scale"], manifest["job"]["debug"]) == (3, 4, True)
    assert (manifest["job"]["input"], manifest["job"]["output"]) == (spec.input, spec.output)
    assert manifest["source"]["duration_s"] == pytest.approx(3.0)
    assert manifest["work"] == f"s3://{rig.bucket}/wip/{started.ctx.token}/"


@pytest.mark.parametrize(
    ("duration_s", "wanted_s", "slices"),
    [
        (None, 60.0, (60.0, 1)),
        (1.0, 60.0, (60.0, 1)),
        (120.0, 60.0, (60.0, 2)),
        (10_800.0, 60.0, (60.0, 180)),
        (10_000.0, 1.0, (1.0, 10_000)),
        (10_800.0, 0.5, (2.0, 5400)),
        (360_000.0, 1.0, (36.0, 10_000)),
    ],
)
def test_slices_fit_into_an_array(duration_s: float | None, wanted_s: float, slices: tuple[float, int]) -> None:
    assert choose_slices(duration_s, wanted_s) == slices


def test_metadata_is_read_by_parts(rig: BatchRig, driver: Driver) -> None:
    rig.s3.put_object(Bucket=rig.bucket, Key="in/text.mp4", Body=b"#EXTM3U\nfile:///etc/passwd\n")
    for key, code in (("in/text.mp4", "MEDIA_UNSUPPORTED"), ("in/none.mp4", "INPUT_NOT_FOUND")):
        with pytest.raises(ProviderError) as caught:
            start(driver, request(rig, input=MediaURI(f"s3://{rig.bucket}/{key}")))
        assert caught.value.provider_code == code
        assert driver.provider.classify(caught.value).code is ErrorCode(code)
    assert rig.count_jobs() == 0


@pytest.mark.parametrize("key", ["in/a b#c%20'\"..mp4", "in/ü/文.mp4", "in/" + "k" * 1017 + ".mp4"])
def test_odd_keys_are_keys(rig: BatchRig, driver: Driver, key: str) -> None:
    rig.s3.copy_object(Bucket=rig.bucket, Key=key, CopySource={"Bucket": rig.bucket, "Key": "in/clip.mp4"})
    started = start(driver, SuperResolution(input=f"s3://{rig.bucket}/{key}", output=f"s3://{rig.bucket}/o/{key[3:]}"))
    assert watch(rig, driver, started)[-1].state is JobState.SUCCEEDED


def test_an_output_that_exists_is_refused_unless_it_may_be_replaced(rig: BatchRig, driver: Driver) -> None:
    there = f"s3://{rig.bucket}/in/clip-old.mp4"
    rig.s3.put_object(Bucket=rig.bucket, Key="in/clip-old.mp4", Body=b"old")
    clip = f"s3://{rig.bucket}/in/clip.mp4"
    with pytest.raises(ProviderError) as caught:
        start(driver, SuperResolution(input=clip, output=there))
    assert caught.value.provider_code == "OUTPUT_EXISTS"
    assert rig.count_jobs() == 0
    start(driver, SuperResolution(input=clip, output=there, overwrite=True))


def test_an_output_that_may_not_be_looked_at_does_not_stop_the_job(rig: BatchRig, driver: Driver) -> None:
    def answer(call: Call[Any]) -> Reply:
        if call.operation == "HeadObject":
            raise ProviderError("access is denied", provider_code="INPUT_DENIED")
        return driver.perform(call)

    spec = request(rig)
    assert drive(driver.provider.submit(spec, None, new_context(spec)), answer).members


def test_a_refused_merge_stops_the_array_and_says_why(rig: BatchRig, driver: Driver) -> None:
    spec = request(rig)
    rig.simulator.faults.add("SubmitJob", "throttled", when=lambda params: "dependsOn" in params)
    with pytest.raises(ProviderError, match="Too Many Requests"):
        start(driver, spec)
    (array,) = rig.simulator.jobs()
    rig.simulator.advance()
    assert (array.status, array.reason) == ("FAILED", "cancelled by mediabroker")


def test_a_search_looks_in_the_queue_that_the_call_was_sent_to(rig: BatchRig, driver: Driver) -> None:
    spec = request(rig)
    ctx = new_context(spec)
    submitted = driver.run(driver.provider.submit(spec, None, ctx))
    create = next(call for call in driver.calls("create") if call.step == "array")
    rig.simulator.add_queue("another")
    moved = BatchProvider("moved", {**rig.settings, "queues": {"spot": "another"}})
    with Driver(moved) as elsewhere:
        (found,) = elsewhere.run(moved.find(ctx, create))
    assert found["jobId"] == submitted.members[0].native_id


def test_progress_and_phase_come_from_the_slices(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.executor.script(f"mb-{started.ctx.token}-array", HOLD, index=2)
    for _ in range(6):
        rig.nudge(started)
    seen = attempt_of(driver, started)
    assert seen.state is JobState.RUNNING
    assert seen.progress == pytest.approx(0.95 * 2 / 3)
    assert seen.phase == "2 of 3 slices"


def test_a_slice_that_loses_its_machine_is_worked_on_again(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.executor.script(f"mb-{started.ctx.token}-array", SPOT_LOSS, SPOT_LOSS, SPOT_LOSS, Exited(), index=1)
    assert watch(rig, driver, started)[-1].state is JobState.SUCCEEDED


def test_a_slice_that_keeps_losing_its_machine_is_preempted_for_good(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.executor.script(f"mb-{started.ctx.token}-array", SPOT_LOSS, index=1)
    end = watch(rig, driver, started)[-1]
    assert end.state is JobState.FAILED
    assert end.error
    assert (end.error.code, end.error.blame) == (ErrorCode.PREEMPTED, "capacity")
    assert end.error.message.startswith("slice 1: Host EC2")


def test_the_merge_alone_can_fail_the_job(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.executor.script(f"mb-{started.ctx.token}-merge", Exited(73))
    end = watch(rig, driver, started)[-1]
    assert end.error
    assert (end.state, end.error.code) == (JobState.FAILED, ErrorCode.OUTPUT_DENIED)


def test_a_merge_that_succeeded_proves_the_slices_that_batch_has_forgotten(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    array, merge = started.members
    told = [MemberStatus(member=array, state=JobState.RUNNING), MemberStatus(member=merge, state=JobState.SUCCEEDED)]
    assert driver.provider.fold(told).state is JobState.SUCCEEDED


def test_cancel_stops_all_that_lives_the_last_first(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.executor.script(f"mb-{started.ctx.token}-*", HOLD)
    watch(rig, driver, started, until=lambda state: state is JobState.RUNNING)
    assert driver.run(driver.provider.cancel(started.members)) is CancelOutcome.REQUESTED
    stopped = [params["jobId"] for params in sent(driver, "TerminateJob")]
    assert stopped == [member.native_id for member in reversed(started.members)]
    assert watch(rig, driver, started)[-1].state is JobState.CANCELLED
    assert driver.run(driver.provider.cancel(started.members)) is CancelOutcome.TOO_LATE


def test_cancel_of_a_half_submitted_chain_stops_its_beginning(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    half = started.members[:1]
    assert driver.run(driver.provider.cancel(half)) is CancelOutcome.REQUESTED
    rig.nudge(started)
    (seen,) = driver.run(driver.provider.query(half))
    assert seen.state is JobState.CANCELLED


@pytest.mark.parametrize("kind", ["truncated", "html", "empty"])
def test_a_broken_answer_is_no_answer(rig: BatchRig, driver: Driver, kind: Any) -> None:
    started = start(driver, request(rig))
    rig.simulator.faults.add("DescribeJobs", kind)
    with pytest.raises(ProviderError) as caught:
        driver.run(driver.provider.query(started.members))
    assert caught.value.retryable, "it must not look as if Batch knew none of the jobs"


def test_150_members_are_two_questions(rig: BatchRig, driver: Driver) -> None:
    members = [Member(role="single", native_id=rig.unknown_id()) for _ in range(150)]
    seen = driver.run(driver.provider.query(members))
    assert len(seen) == 150
    assert [len(params["jobs"]) for params in sent(driver, "DescribeJobs")] == [100, 50]


def test_extra_is_sent_as_given_but_cannot_hide_a_job(rig: BatchRig, driver: Driver) -> None:
    spec, options = request(rig), BatchOptions(extra={"schedulingPriorityOverride": 7})
    driver.provider.check(spec, options)
    driver.run(driver.provider.submit(spec, options, new_context(spec)))
    assert {params["schedulingPriorityOverride"] for params in sent(driver)} == {7}
    with pytest.raises(UnsupportedError, match="jobName"):
        driver.provider.check(spec, BatchOptions(extra={"jobName": "mine"}))


def test_a_capacity_without_a_queue_is_refused(rig: BatchRig, driver: Driver) -> None:
    with pytest.raises(UnsupportedError, match="on_demand"):
        driver.provider.check(request(rig), BatchOptions(capacity="on_demand"))


def test_on_demand_has_its_own_queue_and_rules(rig: BatchRig) -> None:
    rig.simulator.add_queue("steady")
    provider = BatchProvider("p", {**rig.settings, "queues": {"on_demand": "steady"}})
    spec, options = request(rig), BatchOptions(capacity="on_demand")
    with Driver(provider) as driver:
        driver.run(provider.submit(spec, options, new_context(spec)))
        assert {params["jobQueue"] for params in sent(driver)} == {"steady"}
        assert {params["retryStrategy"]["attempts"] for params in sent(driver)} == {3}


@pytest.mark.parametrize(
    "wrong", [{"queues": {}}, {"work": "file:///tmp"}, {"account": "12"}, {"job_definition": None}, {"surprise": 1}]
)
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    right = {"queues": {"spot": "q"}, "job_definition": "d", "work": "s3://bucket/wip"}
    BatchProvider("p", right)
    with pytest.raises(ConfigurationError, match=f"providers.p: {next(iter(wrong))}"):
        BatchProvider("p", {**right, **wrong})


_FILM = MediaURI("s3://media/" + "影" * 330 + ".mp4")


@pytest.mark.parametrize(
    ("fields", "options", "fits"),
    [
        ({"user_data": "a" * 8000}, {}, True),
        ({"user_data": "影" * 2000, "output": _FILM}, {}, True),
        ({"user_data": "影" * 8000}, {}, False),
        ({"user_data": "é" * 4000}, {}, True),
        ({"user_data": "é" * 4000, "output": MediaURI("s3://media/" + "é" * 500 + ".mp4")}, {}, False),
        ({"user_data": '"' * 5000}, {}, False),
        ({"user_data": "a" * 8000}, {"nodeOverrides": {"a": "影" * 4000}}, False),
    ],
)
def test_what_batch_would_find_too_long_is_refused_before_anything_is_written(
    rig: BatchRig, driver: Driver, fields: dict[str, Any], options: dict[str, Any], fits: bool
) -> None:
    spec, chosen = request(rig, **fields), BatchOptions(extra=options)
    if not fits:
        with pytest.raises(UnsupportedError, match="user_data"):
            driver.provider.check(spec, chosen)
        return
    driver.provider.check(spec, chosen)
    driver.run(driver.provider.submit(spec, chosen, new_context(spec)))
    assert max(len(json.dumps(params)) for params in sent(driver)) <= 30 << 10, "as botocore sends it"


def test_a_stranger_can_take_a_job_over_from_one_event(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig, user_data={"asset": 42}))
    rig.nudge(started)
    for event in rig.events:
        (seen,) = driver.provider.parse(event) or []
        assert seen.origin
        assert (seen.token, seen.origin.user_data) == (started.ctx.token, {"asset": 42})
        recovered = driver.run(driver.provider.recover(seen.model_copy(update={"origin": None, "token": None})))
        assert recovered is not None
        assert (recovered.origin, recovered.members) == (seen.origin, started.members)


def test_events_of_other_accounts_and_regions_are_not_ours(rig: BatchRig, driver: Driver) -> None:
    rig.nudge(start(driver, request(rig)))
    assert driver.provider.parse({**rig.events[0], "account": "999999999999"}) is None
    assert driver.provider.parse({**rig.events[0], "region": "us-east-1"}) is None


def test_a_process_that_only_follows_jobs_loads_no_media_library() -> None:
    code = """
import sys
from mediabroker_aws import BatchOptions
assert not {"boto3", "botocore", "av"} & sys.modules.keys()
from mediabroker_aws import BatchProvider
BatchProvider("p", {"queues": {"spot": "q"}, "job_definition": "d", "work": "s3://bucket/wip"}).connect("batch").close()
assert "av" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_reason_why_an_arrays_slices_wait_is_the_jobs_hold_reason(rig: BatchRig, driver: Driver) -> None:
    started = start(driver, request(rig))
    rig.simulator.lifecycle.blocked = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    rig.nudge(started)
    rig.nudge(started)
    seen = driver.run(driver.provider.query(started.members))
    assert seen[0].hold_reason == "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    told = zip(started.members, seen, strict=True)
    statuses = [
        MemberStatus(member=member, state=JobState.QUEUED, hold_reason=each.hold_reason) for member, each in told
    ]
    assert driver.provider.fold(statuses).hold_reason == "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    assert len(sent(driver, "DescribeJobs")) == 2, "one for the jobs, one for the first slices of all that wait"
    rig.simulator.lifecycle.blocked = None
    rig.nudge(started)
    assert driver.run(driver.provider.query(started.members))[0].hold_reason is None
