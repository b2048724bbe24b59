"""How the provider contract tests `aws-batch` over HTTP: `--provider aws-batch-service`.

The real provider speaks HTTP to a simulated API Gateway, behind which the real function speaks to the Batch simulator
and moto's S3. Only the tests load this module.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from pydantic import JsonValue

from mediabroker.clock import Clock
from mediabroker.jobs import JobSpec, SuperResolution
from mediabroker.refs import token_for
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver
from mediabroker.testing.rig import Rig, Started, start, watch
from mediabroker_aws.functions.upscale.api import make_handler
from mediabroker_aws.functions.upscale.jobs import UpscaleJobs
from mediabroker_aws.functions.upscale.settings import UpscaleSettings
from mediabroker_aws.simulator import HOLD, Exited
from mediabroker_aws.simulator.functions.front import LambdaFront
from mediabroker_aws.simulator.functions.function import Function
from mediabroker_aws.simulator.functions.invocations import LambdaSimulator
from mediabroker_aws.simulator.rigs.batch import ACCOUNT, REGION, BatchRig

__all__ = ["API_KEY", "ServiceRig"]

API_KEY = "key-of-the-rig"


class ServiceRig(Rig):
    """An account of its own with a deployed service. `account` is what lies behind it, `changed` its settings."""

    type: ClassVar[str] = "aws-batch"
    kind: ClassVar[str] = "super_resolution"
    secret: ClassVar[str | None] = API_KEY
    idempotent_creates: ClassVar[bool] = True
    has_callbacks: ClassVar[bool] = True

    def __init__(self, folder: Path, *, clock: Clock | None = None, **changed: Any) -> None:
        self.account = BatchRig(folder)
        self.account.publish_outputs()
        moto = str(self.account.settings["s3_endpoint_url"])
        endpoints = {"AWS_ENDPOINT_URL_S3": moto, "AWS_ENDPOINT_URL_BATCH": self.account.server.url}
        environment = {"AWS_REGION": REGION, **endpoints}
        self._environment = patch.dict(os.environ, environment)
        self._environment.start()
        chosen = {"queue_spot": "spot", "job_definition": "upscale", "input_prefix": "in", "output_prefix": "out"}
        self.jobs = UpscaleJobs(
            UpscaleSettings.model_validate({"bucket": self.account.bucket, **chosen, **changed}),
            account=ACCOUNT,
            clock=clock,
        )
        self.handler = make_handler(self.jobs)
        self.front = LambdaFront(LambdaSimulator(account=ACCOUNT, region=REGION), api_keys=[API_KEY])
        self.front.simulator.add(Function("upscale", self.handler))
        for method, path in (("POST", ""), ("GET", "/jobs"), ("GET", "/jobs/{id}"), ("DELETE", "/jobs/{id}")):
            self.front.add_route(method, f"/prod{path}", "upscale")
        self.settings: Mapping[str, JsonValue] = {
            "service_url": f"{self.front.url}/prod",
            "api_key": API_KEY,
            "bucket": self.account.bucket,
            "account": ACCOUNT,
            "region": REGION,
            "settle_time_s": 0.01,
        }

    def spec(self, kind: str) -> JobSpec[Any]:
        return self.account.spec(kind)

    def arrange(self, driver: Driver, state: JobState) -> Started:
        started = start(driver, self.spec(self.kind))
        (member,) = started.members
        name = f"mb-{token_for(member.native_id, 1)}-*"
        if state is JobState.RUNNING:
            self.account.executor.script(name, HOLD)
            watch(self, driver, started, until=lambda seen: seen is JobState.RUNNING)
        elif state is JobState.FAILED:
            self.account.executor.script(name, Exited(65), index=1)
        elif state is JobState.CANCELLED:
            driver.run(driver.provider.cancel(started.members))
        if state.is_terminal:
            watch(self, driver, started)
        return started

    def nudge(self, started: Started) -> None:
        tokens = [token_for(member.native_id, 1) for member in started.members]
        self.account.simulator.advance(lambda job: any(token in job.name for token in tokens))

    def count_jobs(self) -> int:
        """Chains, for these are the service's jobs."""
        return len({job.name.rpartition("-")[0] for job in self.account.simulator.jobs()})

    def unknown_id(self) -> str:
        return "a" * 26

    def inexpressible(self) -> Sequence[JobSpec[Any]]:
        clip, bucket = f"s3://{self.account.bucket}/in/clip.mp4", self.account.bucket
        return [
            SuperResolution(input=clip, output=f"s3://{bucket}/out/"),
            SuperResolution(input=clip, output="s3://another/out/a.mp4"),
            SuperResolution(input="s3://another/in/clip.mp4", output=f"s3://{bucket}/out/a.mp4"),
        ]

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:
        bucket = self.account.bucket
        lost = SuperResolution(input=f"s3://{bucket}/in/nowhere.mp4", output=f"s3://{bucket}/out/a.mp4")
        astray = SuperResolution(input=f"s3://{bucket}/in/clip.mp4", output=f"s3://{bucket}/elsewhere/a.mp4")
        stranger = type(driver.provider)("stranger", {**self.settings, "api_key": "no-key"})

        def call_without_key() -> None:
            with Driver(stranger) as another:
                start(another, self.spec(self.kind))

        return [lambda: start(driver, lost), lambda: start(driver, astray), call_without_key]

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:
        self.nudge(started)
        ids = [member.native_id for member in started.members]
        return [event for event in self.account.events if any(each in json.dumps(event) for each in ids)]

    def close(self) -> None:
        self.front.close()
        self.jobs.close()
        self.account.close()
        self._environment.stop()
