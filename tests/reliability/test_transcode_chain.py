"""Transcodes through the real broker and the real service, whatever is lost on the way: each file is worked on once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from pydantic import SecretStr

from mediabroker import Broker, CancelOutcome, ErrorCode, JobFailedError, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.messages import InboundMessage
from mediabroker.refs import token_for
from mediabroker_aws import LambdaProvider, SqsSource
from mediabroker_aws.functions.transcode.api import Intake
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.functions.transcode.worker import Worker
from mediabroker_aws.simulator import Function, LambdaFront, LambdaSimulator
from mediabroker_aws.simulator.rigs.batch import make_clip, shared_moto
from mediabroker_aws.transcoder.requests import build_time, names_of
from mediabroker_aws.transcoder.wire import TranscodeRequest

REGION, KEY = "eu-west-1", "k" * 20
ROUTE = "POST /prod/videoTranscode"


class Studio:
    """The service in an account of its own, and brokers that use it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.moto = folder, shared_moto().url
        self.front = LambdaFront(LambdaSimulator(region=REGION), secrets={"AKID": "secret"}, api_keys={KEY})
        environment = {"ACCESS_KEY_ID": "AKID", "SECRET_ACCESS_KEY": "secret", "REGION": REGION}
        environment |= {"DEFAULT_REGION": REGION, "ENDPOINT_URL_LAMBDA": self.front.url, "CONFIG_FILE": "/nonexistent"}
        environment |= {f"ENDPOINT_URL_{service}": self.moto for service in ("S3", "SQS")}
        for name, value in environment.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        self.name = f"t-{uuid4().hex[:12]}"
        self.s3 = boto3.client("s3", endpoint_url=self.moto, region_name=REGION)
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.sqs = boto3.client("sqs", endpoint_url=self.moto, region_name=REGION)
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.simulator = self.front.simulator
        self.url = self.front.add_route("POST", "/prod/videoTranscode", "transcode")
        self.deploy()
        self._opened: list[Broker] = []

    def deploy(self, **settings: Any) -> None:
        """Both functions, as these settings make them."""
        told = TranscoderSettings(buckets=self.name, worker="worker", queue_url=self.queue, **settings)
        self.simulator.add(Function("transcode", Intake(told), timeout_s=900))
        self.simulator.add(Function("worker", Worker(told), timeout_s=900, concurrency=2))

    def fill(self, *names: str) -> None:
        clip = make_clip(self.folder / "clip.mp4").read_bytes()
        for name in names:
            body = clip if name.endswith(".mp4") else b"no video"
            self.s3.put_object(Bucket=self.name, Key=f"in/{name}", Body=body)

    def spec(self, source: str = "in/", **fields: Any) -> Transcode:
        return Transcode(input=f"s3://{self.name}/{source}", output=f"s3://{self.name}/out/", **fields)

    def broker(self, store: str = "jobs", *, second: dict[str, Any] | None = None, **changes: Any) -> Broker:
        """A broker of this service; `second` names other deployments and what is different about them."""
        way: dict[str, Any] = {"url": self.url, "api_key": KEY} if "function" not in changes else {}
        settings = {"region": REGION, "settle_time_s": 0.0, "poll_interval_s": 0.05, **way, **changes}
        settings |= {"s3_endpoint_url": self.moto, "path_style": True, "endpoint_url": self.front.url}
        stored = {"region": REGION, "endpoint_url": self.moto, "path_style": True}
        chosen = BrokerSettings(
            store=f"sqlite:///{self.folder / store}.db",
            stores={"s3": stored},
            lease_s=0.01,
            token_key=SecretStr("k" * 32),
        )
        named = {"aws": settings, **{name: {**settings, **other} for name, other in (second or {}).items()}}
        broker = Broker(chosen, providers={name: LambdaProvider(name, each) for name, each in named.items()})
        self._opened.append(broker)
        return broker

    def works(self) -> int:
        return sum(each.function == "worker" for each in self.simulator.invocations)

    def completions(self) -> list[InboundMessage]:
        """What the workers have told by now, as the real source reads it."""
        source = SqsSource(f"sqs://{self.name}", {"region": REGION, "endpoint_url": self.moto, "long_poll_s": 0})
        try:
            return source.receive(wait_s=0)
        finally:
            source.close()

    def close(self) -> None:
        for broker in self._opened:
            broker.close()
        self.front.close()
        self.s3.close()
        self.sqs.close()


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    with closing(Studio(tmp_path, monkeypatch)) as studio:
        yield studio


@pytest.mark.parametrize("way", [{}, {"function": "transcode"}], ids=["by its URL", "by its function"])
def test_a_file_becomes_a_video_in_its_folder(studio: Studio, way: dict[str, Any]) -> None:
    studio.fill("a.mp4")
    job = studio.broker(**way).submit(studio.spec("in/a.mp4"), idempotency_key="k")
    video = job.result(timeout=100)
    (output,) = video.outputs
    assert output.uri.startswith(f"s3://{studio.name}/out/a_")
    assert output.uri.endswith("/a.mp4")
    assert (video.height_px, video.frame_count, output.size_bytes) == (24, 24, _size(studio, output.uri))
    assert [item.outcome for item in video.items] == ["ok"]


def _size(studio: Studio, uri: str) -> int:
    key = uri.removeprefix(f"s3://{studio.name}/")
    return int(studio.s3.head_object(Bucket=studio.name, Key=key)["ContentLength"])


def test_a_folder_with_a_file_that_is_no_mp4_is_partial_and_says_what_became_of_each(studio: Studio) -> None:
    studio.fill("a.mp4", "deep/b.mp4", "c.txt")
    job = studio.broker().submit(studio.spec(container="hls"))
    with pytest.raises(JobFailedError) as failed:
        job.result(timeout=100)
    assert failed.value.error.code is ErrorCode.PARTIAL
    items = {item.source.removeprefix(f"s3://{studio.name}/in/"): item for item in failed.value.result.items}
    assert {name: item.outcome for name, item in items.items()} == {
        "a.mp4": "ok",
        "c.txt": "failed",
        "deep/b.mp4": "ok",
    }
    assert items["c.txt"].error.message == "not .mp4"
    assert all(_size(studio, item.output) for item in items.values() if item.outcome == "ok")


@pytest.mark.parametrize("kind", ["lost", "truncated", "html", "empty", "error_after", "error_before"])
def test_a_lost_answer_starts_no_file_twice(studio: Studio, kind: Any) -> None:
    studio.fill("a.mp4", "b.mp4")
    studio.simulator.faults.add(ROUTE, kind)
    job = studio.broker().submit(studio.spec())
    outputs = job.result(timeout=100).outputs
    assert len({output.uri for output in outputs}) == 2
    assert studio.simulator.wait_idle(60)
    assert studio.works() == 2


def test_throttling_is_waited_out(studio: Studio) -> None:
    studio.fill("a.mp4")
    studio.simulator.faults.add(ROUTE, "throttled", times=2)
    assert studio.broker().submit(studio.spec("in/a.mp4")).result(timeout=100).outputs


def test_invocations_that_come_twice_change_nothing(studio: Studio) -> None:
    studio.fill("a.mp4", "b.mp4")
    studio.simulator.faults.add("Event", "duplicated", times=2)
    job = studio.broker().submit(studio.spec())
    assert len(job.result(timeout=100).outputs) == 2
    assert studio.simulator.wait_idle(60)
    assert studio.works() == 4
    assert len(studio.completions()) == 2


def test_completions_wake_the_broker_twice_is_once_and_another_host_takes_the_whole_folder_over(
    studio: Studio,
) -> None:
    studio.fill("a.mp4", "b.mp4")
    job = studio.broker().submit(studio.spec(user_data={"asset": 42}))
    assert studio.simulator.wait_idle(100)
    told = studio.completions()
    assert len(told) == 2
    another = studio.broker("elsewhere")
    for message in [*told, *told]:
        assert another.ingest(message).outcome == "taken"
    taken_over = another.get(job.ref)
    assert taken_over.result(timeout=60).outputs == job.result(timeout=60).outputs
    assert (taken_over.id, taken_over.state) == (job.id, JobState.SUCCEEDED)


def test_the_message_of_a_work_that_a_plain_request_started_is_passed_over(studio: Studio) -> None:
    studio.fill("a.mp4")
    plain = {"bucket": studio.name, "src": "in/a.mp4", "dst": "out/", "time": "20260101000000", "type": "mp4"}
    answer = httpx.post(studio.url, json=plain, headers={"x-api-key": KEY}, timeout=60)
    assert answer.status_code == 200
    assert studio.simulator.wait_idle(100)
    broker = studio.broker()
    assert [broker.ingest(each).outcome for each in studio.completions()] == ["taken"]
    assert broker.quarantined() == []
    assert list(broker.list()) == []


def test_a_message_with_a_forged_token_moves_nobody(studio: Studio) -> None:
    studio.fill("a.mp4")
    studio.broker().submit(studio.spec())
    assert studio.simulator.wait_idle(100)
    (message,) = studio.completions()
    forged = json.loads(message.body)
    forged["request"]["origin"]["job_id"] = "somebody-elses"
    taken = studio.broker("elsewhere").ingest(InboundMessage(json.dumps(forged).encode(), "q", "1"))
    assert taken.outcome != "taken"


def test_a_forged_completion_does_not_choose_what_an_adopting_store_writes(studio: Studio, tmp_path: Path) -> None:
    studio.fill("a.mp4")
    job = studio.broker().submit(studio.spec("in/a.mp4", user_data="mine"))
    assert studio.simulator.wait_idle(100)
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(b"the user's own")
    (message,) = studio.completions()
    forged = json.loads(message.body)
    lies = {"output": "s3://forged/out/", "deliver_to": victim.as_uri(), "overwrite": True, "user_data": "forged"}
    forged["request"]["origin"] |= lies
    forged["request"] |= {"bucket": "forged", "dst": "forged/"}
    another = studio.broker("elsewhere")
    assert another.ingest(InboundMessage(json.dumps(forged).encode(), "q", "1")).jobs == (job.id,)
    adopted = another.get(job.id)
    assert adopted.user_data == "mine"
    assert adopted.result(timeout=60).outputs == job.result(timeout=60).outputs
    assert victim.read_bytes() == b"the user's own"


def test_a_status_that_lies_elsewhere_than_its_work_is_no_origin(studio: Studio) -> None:
    studio.fill("a.mp4")
    studio.broker().submit(studio.spec("in/a.mp4"))
    assert studio.simulator.wait_idle(100)
    (message,) = studio.completions()
    told = json.loads(message.body)
    key = told["id"].removeprefix(f"s3://{studio.name}/")
    planted = f"planted/{key.rpartition('/')[2]}"
    studio.s3.copy_object(Bucket=studio.name, Key=planted, CopySource={"Bucket": studio.name, "Key": key})
    forged = InboundMessage(json.dumps({**told, "id": f"s3://{studio.name}/{planted}"}).encode(), "q", "1")
    another = studio.broker("elsewhere")
    assert another.ingest(forged).outcome != "taken"
    assert list(another.list()) == []


def test_a_status_in_a_bucket_of_the_forgers_proves_no_job_by_a_token_that_anybody_can_compute(studio: Studio) -> None:
    studio.fill("a.mp4")
    job = studio.broker().submit(studio.spec("in/a.mp4"))
    assert studio.simulator.wait_idle(100)
    (message,) = studio.completions()
    told = json.loads(message.body)
    request, old = told["request"], token_for("never-submitted", 1)
    request["origin"] |= {"job_id": "never-submitted", "token": old, "attempt": 1}
    request["time"] = build_time(old)
    wanted = TranscodeRequest.model_validate(request)
    work = names_of(wanted, wanted.src).work
    key = told["id"].removeprefix(f"s3://{studio.name}/")
    status = json.loads(studio.s3.get_object(Bucket=studio.name, Key=key)["Body"].read())
    planted = json.dumps({**status, "request": request}).encode()
    studio.s3.put_object(Bucket=studio.name, Key=work.removeprefix(f"s3://{studio.name}/"), Body=planted)
    another = studio.broker("elsewhere")
    forged = InboundMessage(json.dumps({**told, "id": work, "request": request}).encode(), "q", "1")
    assert another.ingest(forged).outcome != "taken"
    assert list(another.list()) == []
    assert another.ingest(message).jobs == (job.id,)


def test_what_is_too_long_for_lambda_fails_before_any_work_and_leaves_it_to_others(studio: Studio) -> None:
    studio.deploy(pixels_per_s=10.0)
    studio.fill("a.mp4")
    job = studio.broker().submit(studio.spec("in/a.mp4"))
    with pytest.raises(JobFailedError, match="too long for Lambda") as failed:
        job.result(timeout=60)
    assert (failed.value.error.code, failed.value.error.blame) == (ErrorCode.OUT_OF_RESOURCES, "capacity")
    assert studio.works() == 0


def test_a_route_goes_on_with_another_deployment_when_a_file_is_too_long_for_the_first(studio: Studio) -> None:
    studio.fill("a.mp4")
    told = TranscoderSettings(buckets=studio.name, worker="worker", pixels_per_s=10.0)
    studio.simulator.add(Function("small", Intake(told)))
    small = studio.front.add_route("POST", "/small/videoTranscode", "small")
    broker = studio.broker(second={"small": {"url": small}})
    job = broker.submit(studio.spec("in/a.mp4"), provider=["small", "aws"])
    assert job.result(timeout=100).outputs
    assert [(each.provider, each.error and each.error.code) for each in job.attempts] == [
        ("small", ErrorCode.OUT_OF_RESOURCES),
        ("aws", None),
    ]


def test_a_cancel_before_the_worker_came_ends_the_job_and_the_worker_does_nothing(studio: Studio) -> None:
    studio.fill("a.mp4")
    studio.simulator.faults.add("Event", "delayed")
    job = studio.broker().submit(studio.spec("in/a.mp4"))
    assert job.cancel() is CancelOutcome.CANCELLED
    studio.simulator.release()
    assert studio.simulator.wait_idle(60)
    assert job.refresh().state is JobState.CANCELLED
    listed = studio.s3.list_objects_v2(Bucket=studio.name, Prefix="out/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in listed] == ["status-mp4.json"]


@pytest.mark.parametrize(("source", "code"), [("nowhere/", "INPUT_NOT_FOUND"), ("nowhere.mp4", "INPUT_NOT_FOUND")])
def test_a_source_that_is_not_there_is_said_before_anything_is_asked(studio: Studio, source: str, code: str) -> None:
    job = studio.broker().submit(studio.spec(source))
    assert job.error
    assert (job.state, job.error.code.value) == (JobState.FAILED, code)
    assert studio.simulator.invocations == []


def test_a_wrong_key_is_the_callers_to_mend_and_is_never_shown(studio: Studio) -> None:
    studio.fill("a.mp4")
    job = studio.broker(api_key="wrong-key-canary").submit(studio.spec("in/a.mp4"))
    assert job.error
    assert (job.error.code, job.error.blame) == (ErrorCode.AUTH, "caller")
    assert "canary" not in str(job.error)


def test_a_plan_shows_the_request_and_starts_nothing(studio: Studio) -> None:
    studio.fill("a.mp4")
    calls = studio.broker().plan(studio.spec("in/a.mp4")).calls
    assert [call.operation for call in calls] == ["ReadMetadata", "videoTranscode"]
    params = calls[1].params
    assert (params["src"], params["dst"], params["type"], params["v_height"]) == ("in/a.mp4", "out/", "mp4", 480)
    assert studio.simulator.invocations == []
