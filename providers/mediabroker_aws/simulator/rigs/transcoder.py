"""How the provider contract tests `aws-lambda`: `pytest --pyargs mediabroker.testing.contract --provider aws-lambda`.

The real service behind the simulated gateway and moto's S3, over HTTP with an API key. Its worker is a script: it takes
the real claim, and then does as the check wants. Only the tests load this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import uuid4

import boto3
from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError
from mediabroker.jobs import JobSpec, Transcode
from mediabroker.results import Output, VideoResult
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch
from mediabroker_aws.functions.transcode.api import Intake
from mediabroker_aws.functions.transcode.claim import Claim
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.simulator import Function, LambdaFront, LambdaSimulator
from mediabroker_aws.simulator.rigs.batch import make_clip
from mediabroker_aws.simulator.rigs.batch import shared_moto as moto
from mediabroker_aws.transcoder.status import StatusBoard, build_completion

__all__ = ["LambdaRig"]

REGION = "eu-west-1"
_API_KEY = "api-key-of-the-rig-0123456789"
_ACCESS_KEY, _SECRET_KEY = "AKIDOFTHERIG", "secret-of-the-rig"
_VIDEO = b"video"


class LambdaRig(Rig):
    """A deployment of its own: bucket, gateway and functions; and a worker that goes on when it is nudged."""

    type: ClassVar[str] = "aws-lambda"
    kind: ClassVar[str] = "transcode"
    secret: ClassVar[str | None] = _API_KEY
    idempotent_creates: ClassVar[bool] = True
    has_callbacks: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.front = LambdaFront(LambdaSimulator(region=REGION), api_keys={_API_KEY})
        environment = {
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": moto().url,
            "AWS_ENDPOINT_URL_LAMBDA": self.front.url,
        }
        self._environment = patch.dict(os.environ, environment)
        self._environment.start()
        self.bucket = f"rig-{uuid4().hex[:12]}"
        session = boto3.session.Session(_ACCESS_KEY, _SECRET_KEY, region_name=REGION)
        self.s3 = session.client("s3", endpoint_url=moto().url)
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.upload_file(str(make_clip(folder / "clip.mp4")), self.bucket, "in/clip.mp4")
        self.simulator = self.front.simulator
        self.simulator.add(Function("transcode", Intake(TranscoderSettings(buckets=self.bucket, worker="worker"))))
        self.simulator.add(Function("worker", lambda event, _: self.waiting.append(event["work"])))
        self.waiting: list[str] = []
        self.settings: dict[str, JsonValue] = {
            "region": REGION,
            "url": self.front.add_route("POST", "/prod/videoTranscode", "transcode"),
            "api_key": _API_KEY,
            "s3_endpoint_url": moto().url,
            "path_style": True,
            "settle_time_s": 0.0,
        }
        self._board = StatusBoard(S3Store({"region": REGION, "endpoint_url": moto().url, "path_style": True}))
        self._claims: dict[str, Claim] = {}
        self._made = 0

    def spec(self, kind: str) -> JobSpec[Any]:
        self._made += 1
        output = f"s3://{self.bucket}/out/{self._made}/"
        return JobSpec.parse({"kind": kind, "input": f"s3://{self.bucket}/in/clip.mp4", "output": output})

    def arrange(self, driver: Driver, state: JobState) -> Started:
        started = start(driver, self.spec(self.kind))
        work = started.members[0].native_id
        if state is JobState.CANCELLED:
            driver.run(driver.provider.cancel(started.members))
        elif state is JobState.FAILED:
            self._claim(work).move(state="failed", error=JobError.of(ErrorCode.MEDIA_CORRUPT, "it breaks off"))
        elif state is JobState.RUNNING:
            self._claim(work)
        elif state is JobState.SUCCEEDED:
            watch(self, driver, started)
        return started

    def _claim(self, work: str) -> Claim:
        if work not in self._claims:
            claim = Claim.take(self._board, work, "the rig")
            assert claim is not None, f"the rig's worker cannot claim {work}"
            self._claims[work] = claim
        return self._claims[work]

    def nudge(self, started: Started) -> None:
        """The worker's next step: claim, half-way, done. What has ended, or was cancelled, stays as it is."""
        for member in started.members:
            work = member.native_id
            seen = self._board.read(work) if member.absent is None else None
            if seen is None or seen.status.has_ended:
                continue
            claim = self._claims.get(work)
            if claim is None:
                self._claim(work)
            elif claim.progress is None:
                claim.progress = 0.5
                claim.move(progress=0.5)
            else:
                output = claim.status.output
                self.s3.put_object(Bucket=self.bucket, Key=output.key, Body=_VIDEO)
                made = VideoResult(outputs=(Output(uri=output, size_bytes=len(_VIDEO)),), width_px=32, height_px=24)
                claim.move(state="succeeded", progress=1.0, result=made)

    def count_jobs(self) -> int:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="out/")
        return sum(str(each["Key"]).endswith("/status-mp4.json") for each in listed.get("Contents", ()))

    def unknown_id(self) -> str:
        return f"s3://{self.bucket}/out/nobody/clip_20160426000001/status-mp4.json"

    def inexpressible(self) -> Sequence[JobSpec[Any]]:
        source, folder = f"s3://{self.bucket}/in/clip.mp4", f"s3://{self.bucket}/out/"
        return [
            Transcode(input=source, output=f"{folder}a.mp4"),
            Transcode(input=source, output="s3://another-bucket/out/"),
            Transcode(input=f"s3://{self.bucket}/in/clip.mkv", output=folder),
            Transcode(input=source, output=folder, overwrite=True),
            Transcode.model_validate(
                {"input": source, "output": folder, "renditions": [{"height_px": 360, "video_bitrate_bps": 500_000}]}
            ),
            Transcode.model_validate({"input": source, "output": folder, "encoder": {"crf": 18}}),
            Transcode(input=f"s3://{self.bucket}/in/", output=f"s3://{self.bucket}/in/made/"),
        ]

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        lost = self.spec(self.kind).model_copy(update={"input": f"s3://{self.bucket}/in/nowhere.mp4"})
        return [
            lambda: start(driver, Transcode.model_validate(lost.model_dump())),
            lambda: start(driver, Transcode(input=f"s3://{self.bucket}/empty/", output=f"s3://{self.bucket}/out/x/")),
            self._stranger,
        ]

    def _stranger(self) -> object:
        with Driver(self.open()) as driver:
            self.simulator.faults.add("POST /prod/videoTranscode", "throttled")
            return start(driver, self.spec(self.kind))

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:
        told = []
        for member in started.members:
            seen = self._board.read(member.native_id)
            assert seen is not None
            told.append(build_completion(member.native_id, seen.status, region=REGION))
        return told

    def close(self) -> None:
        self.front.close()
        self.s3.close()
        self._environment.stop()
