"""How the provider contract tests `aws-batch`: `pytest --pyargs mediabroker.testing.contract --provider aws-batch`.

The Batch simulator and moto's S3, spoken to by the real boto3 with signed requests. Only the tests load this module.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import uuid4

import av
import boto3
import numpy as np
from pydantic import JsonValue

from mediabroker.jobs import JobSpec, SuperResolution
from mediabroker.refs import MediaURI
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch
from mediabroker_aws.batch.requests import ORIGIN
from mediabroker_aws.options import BatchOptions
from mediabroker_aws.simulator import HOLD, BatchServer, BatchSimulator, Exited, ScriptedExecutor, Task
from mediabroker_aws.simulator.batch.records import Job
from mediabroker_aws.simulator.moto import MotoServer

__all__ = ["BatchRig", "make_clip", "shared_moto"]

REGION = "eu-west-1"
ACCOUNT = "123456789012"
_ACCESS_KEY, _SECRET_KEY = "AKIDOFTHERIG", "secret-of-the-rig"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
_FRAMES, _RATE = 24, 8


class BatchRig(Rig):
    """An account of its own: a simulated Batch, and a bucket with one short clip, which makes several slices."""

    type: ClassVar[str] = "aws-batch"
    kind: ClassVar[str] = "super_resolution"
    secret: ClassVar[str | None] = _SECRET_KEY
    has_callbacks: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._environment = patch.dict(os.environ, _ENVIRONMENT)
        self._environment.start()
        self.events: list[dict[str, Any]] = []
        self.executor = ScriptedExecutor()
        self.simulator = BatchSimulator(self.executor, account=ACCOUNT, region=REGION, sink=self.events.append)
        self.server = BatchServer(self.simulator, secrets={_ACCESS_KEY: _SECRET_KEY})
        self.bucket = f"rig-{uuid4().hex[:12]}"
        session = boto3.session.Session(_ACCESS_KEY, _SECRET_KEY, region_name=REGION)
        self.s3 = session.client("s3", endpoint_url=shared_moto().url)
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.upload_file(str(make_clip(folder / "clip.mp4")), self.bucket, "in/clip.mp4")
        self.simulator.add_queue("spot")
        definition = {"jobDefinitionName": "upscale", "type": "container"}
        container = {"image": "worker", "command": ["worker", "Ref::task", "Ref::manifest"]}
        self.simulator.call("RegisterJobDefinition", {**definition, "containerProperties": container})
        self.settings: dict[str, JsonValue] = {
            "account": ACCOUNT,
            "region": REGION,
            "endpoint_url": self.server.url,
            "s3_endpoint_url": shared_moto().url,
            "path_style": True,
            "queues": {"spot": "spot"},
            "job_definition": "upscale",
            "work": f"s3://{self.bucket}/wip",
            "settle_time_s": 0.0,
        }
        self.store_settings: dict[str, Any] = {"region": REGION, "endpoint_url": shared_moto().url, "path_style": True}
        """`[stores.s3]` of a broker that looks at the outputs."""
        self._made = 0

    def publish_outputs(self) -> None:
        """From now on, jobs that succeed leave an object where their job wants its output."""
        self.executor.on_success = self._publish

    def _publish(self, task: Task) -> None:
        if task.environment["MEDIABROKER_TASK"] != "slice":
            output = MediaURI(json.loads(task.environment[ORIGIN])["output"])
            self.s3.put_object(Bucket=output.bucket, Key=output.key, Body=b"video")

    def spec(self, kind: str) -> JobSpec[Any]:
        self._made += 1
        output = f"s3://{self.bucket}/out/{self._made}.mp4"
        return JobSpec.parse({"kind": kind, "input": f"s3://{self.bucket}/in/clip.mp4", "output": output, "slice_s": 1})

    def arrange(self, driver: Driver, state: JobState) -> Started:
        started = start(driver, self.spec(self.kind))
        name = f"mb-{started.ctx.token}-*"
        if state is JobState.RUNNING:
            self.executor.script(name, HOLD)
            watch(self, driver, started, until=lambda seen: seen is JobState.RUNNING)
        elif state is JobState.FAILED:
            self.executor.script(name, Exited(65), index=1)
        elif state is JobState.CANCELLED:
            driver.run(driver.provider.cancel(started.members))
        if state.is_terminal:
            watch(self, driver, started)
        return started

    def nudge(self, started: Started) -> None:
        self.simulator.advance(lambda job: _belongs(job, started))

    def count_jobs(self) -> int:
        return len(self.simulator.jobs())

    def unknown_id(self) -> str:
        return str(uuid4())

    def inexpressible(self) -> Sequence[JobSpec[Any]]:
        source, output = f"s3://{self.bucket}/in/clip.mp4", f"s3://{self.bucket}/out/a.mp4"
        return [
            SuperResolution(input=source, output=f"s3://{self.bucket}/out/"),
            SuperResolution(input=source, output=output, user_data="x" * 10_000),
        ]

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        lost = SuperResolution(input=f"s3://{self.bucket}/in/nowhere.mp4", output=f"s3://{self.bucket}/out/a.mp4")
        options = BatchOptions(extra={"jobDefinition": "nobody"})
        spec = self.spec(self.kind)
        ctx = start(driver, spec).ctx.model_copy(update={"token": "refused"})
        return [
            lambda: start(driver, lost),
            lambda: driver.run(driver.provider.submit(spec, options, ctx)),
        ]

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:
        ids = {member.native_id for member in started.members}
        self.nudge(started)
        return [event for event in self.events if event["detail"]["jobId"].partition(":")[0] in ids]

    def close(self) -> None:
        self.server.close()
        self.s3.close()
        self._environment.stop()


def _belongs(job: Job, started: Started) -> bool:
    return job.name.startswith(f"mb-{started.ctx.token}-")


@cache
def shared_moto() -> MotoServer:
    """One for the life of the process: it takes seconds to start, and each rig has a bucket of its own."""
    server = MotoServer()
    atexit.register(server.close)
    return server


def make_clip(path: Path, *, frames: int = _FRAMES) -> Path:
    """Frames of 32x24 pixels that get brighter, 8 a second; H.264 in mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(frames):
            picture = np.full((24, 32, 3), 8 * index % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
