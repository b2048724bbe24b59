"""The transcoding service whole, on loopback: its two real functions behind the simulated gateway, S3 and SQS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mediabroker_aws.functions.transcode.api import Intake
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.functions.transcode.worker import Worker
from mediabroker_aws.simulator import Function, LambdaFront, LambdaSimulator
from mediabroker_aws.transcoder.status import SOURCE
from tests.clips import make_clip
from tests.unit.aws.conftest import REGION, Aws

KEY = "k" * 20
TIME = "20160426000001"


class Service:
    """What a test needs: a bucket to fill, requests to send, and what came of them."""

    def __init__(self, front: LambdaFront, url: str, aws: Aws, bucket: str, queue: str) -> None:
        self.front, self.url, self.bucket, self.queue = front, url, bucket, queue
        self.s3, self.sqs = aws("s3"), aws("sqs")
        self.simulator = front.simulator

    def put(self, key: str, content: bytes | Path) -> None:
        body = content.read_bytes() if isinstance(content, Path) else content
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in listed.get("Contents", ())]

    def status(self, folder: str, kind: str = "mp4") -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.get(f"{folder}status-{kind}.json"))
        return read

    def post(self, **changes: Any) -> httpx.Response:
        fields = {"bucket": self.bucket, "contentprovider": "films", "dst": "out/", "src": "in/", "testflag": "no"}
        fields |= {"time": TIME, "type": "mp4", "v_bitrate": 2_700_000, "v_height": 720, **changes}
        return httpx.post(self.url, json=fields, headers={"x-api-key": KEY}, timeout=60, trust_env=False)

    def ask(self, **changes: Any) -> list[dict[str, Any]]:
        """The entries of an answer that went well, once all workers are done."""
        answer = self.post(**changes)
        assert answer.status_code == 200, answer.text
        videos: list[dict[str, Any]] = answer.json()["videos"]
        assert self.simulator.wait_idle(120)
        return videos

    def completions(self) -> list[dict[str, Any]]:
        """The messages that have come so far, taken from the queue."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                found.append(json.loads(each["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
        assert all(each["source"] == SOURCE for each in found)
        return found

    def works(self) -> int:
        """How often the worker was invoked."""
        return sum(each.function == "worker" for each in self.simulator.invocations)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, endpoint: str, aws: Aws, name: str, **settings: Any) -> Iterator[Service]:
    """A service in a bucket of its own."""
    for service in ("S3", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    queue = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    secrets = {"AKIDCANARY": "secret-canary"}
    with LambdaFront(LambdaSimulator(region=REGION), secrets=secrets, api_keys={KEY}) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", front.url)
        told = TranscoderSettings(buckets=name, worker="worker", queue_url=queue, **settings)
        front.simulator.add(Function("transcode", Intake(told), timeout_s=900))
        front.simulator.add(Function("worker", Worker(told), timeout_s=900, concurrency=2))
        url = front.add_route("POST", "/prod/videoTranscode", "transcode")
        yield Service(front, url, aws, name, queue)


def clip(folder: Path, **options: Any) -> Path:
    """A short clip with sound, which the service can make smaller."""
    return make_clip(folder / "clip.mp4", **{"width": 96, "height": 64, "frames": 25, **options})
