"""All of AWS that this package uses, on loopback: `mediabroker sandbox aws`. Needs the extra `sandbox`.

S3, SQS, SNS and EventBridge are moto's server; Batch is this package's simulator, whose jobs run the real worker.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3

from mediabroker_aws.simulator.bus import EventBus
from mediabroker_aws.simulator.engine import BatchSimulator
from mediabroker_aws.simulator.moto import MotoServer
from mediabroker_aws.simulator.processes import ProcessExecutor
from mediabroker_aws.simulator.server import BatchServer

__all__ = ["AwsSandbox"]

ACCOUNT, REGION = "123456789012", "us-west-2"
BUCKET, EVENTS, DEFINITION = "media", "media-events", "mediabroker-upscale"
QUEUES = {"spot": "mediabroker-spot", "on_demand": "mediabroker-on-demand"}
_ACCESS_KEY, _SECRET_KEY = "AKIDOFTHESANDBOX", "secret-of-the-sandbox"
_PUMP_S = 0.1


class AwsSandbox:
    """A `Sandbox`: one account in one region. `folder` gets a log of each worker that ran.

    Args:
        parallel: workers at a time; the others wait as they would for capacity.
    """

    def __init__(self, folder: Path, *, parallel: int = 1) -> None:
        self._folder = folder
        with ExitStack() as stack:
            moto = stack.enter_context(MotoServer())
            self.environment = {
                "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL_S3": moto.url,
                "AWS_ENDPOINT_URL_SQS": moto.url,
                "AWS_ENDPOINT_URL_SNS": moto.url,
                "AWS_ENDPOINT_URL_EVENTS": moto.url,
            }
            queue_url = self._make_places(moto.url)
            bus = EventBus(self._client("sqs", moto.url), queue_url)
            stack.callback(bus.close)
            batch = stack.enter_context(self._make_batch(bus, parallel))
            self.environment["AWS_ENDPOINT_URL_BATCH"] = batch.url
            self.settings = _settings(moto.url, batch.url)
            self.facts = {
                "bucket": f"s3://{BUCKET}",
                "events": f"sqs://{EVENTS}",
                "S3, SQS, SNS, EventBridge": moto.url,
                "Batch": batch.url,
                "logs": str(folder),
            }
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Stop everything; jobs that run are killed."""
        self._stack.close()

    def _client(self, service: str, url: str) -> Any:
        session = boto3.session.Session(_ACCESS_KEY, _SECRET_KEY, region_name=REGION)
        return session.client(service, endpoint_url=url)

    def _make_places(self, url: str) -> str:
        """The bucket and the queue; the queue's URL."""
        s3, sqs = self._client("s3", url), self._client("sqs", url)
        try:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
            made = sqs.create_queue(QueueName=EVENTS)
        finally:
            s3.close()
            sqs.close()
        return str(made["QueueUrl"])

    def _make_batch(self, bus: EventBus, parallel: int) -> BatchServer:
        workers = ProcessExecutor(self.environment, self._folder)
        simulator = BatchSimulator(workers, account=ACCOUNT, region=REGION, sink=bus.put)
        simulator.lifecycle.capacity = parallel
        for name in QUEUES.values():
            simulator.add_queue(name)
        command = [sys.executable, "-m", "neuron_worker"]
        definition = {"jobDefinitionName": DEFINITION, "type": "container"}
        container = {"image": "mediabroker-worker", "command": command}
        simulator.call("RegisterJobDefinition", {**definition, "containerProperties": container})
        return BatchServer(simulator, secrets={_ACCESS_KEY: _SECRET_KEY}, pump_s=_PUMP_S)


def _settings(moto_url: str, batch_url: str) -> dict[str, dict[str, Any]]:
    batch = {
        "account": ACCOUNT,
        "region": REGION,
        "endpoint_url": batch_url,
        "s3_endpoint_url": moto_url,
        "path_style": True,
        "queues": dict(QUEUES),
        "job_definition": DEFINITION,
        "work": f"s3://{BUCKET}/wip",
        "poll_interval_s": 1.0,
        "settle_time_s": 0.0,
    }
    return {
        "providers": {"aws-batch": batch},
        "stores": {"s3": {"region": REGION, "endpoint_url": moto_url, "path_style": True}},
        "sources": {"sqs": {"region": REGION, "endpoint_url": moto_url}},
    }
