"""All of AWS that this package uses, on loopback: `mediabroker sandbox aws`. Needs the extra `sandbox`.

S3, SQS, SNS and EventBridge are moto's server. Batch, Lambda and API Gateway are this package's simulators: jobs run
the real worker, functions the real handlers, with the names, environments, limits and paths of the deployed template.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from mediabroker_aws.simulator.batch.account import BatchSimulator
from mediabroker_aws.simulator.batch.processes import ProcessExecutor
from mediabroker_aws.simulator.batch.server import BatchServer
from mediabroker_aws.simulator.bus import EventBus
from mediabroker_aws.simulator.functions.front import LambdaFront
from mediabroker_aws.simulator.functions.invocations import LambdaSimulator
from mediabroker_aws.simulator.moto import MotoServer
from mediabroker_aws.simulator.stack import Stack
from mediabroker_aws.simulator.taskrole import TaskRole

__all__ = ["AwsSandbox"]

ACCOUNT, REGION = "123456789012", "us-west-2"
BUCKET, EVENTS, STACK = "media", "media-events", "mediabroker"
API_KEY = "key-of-the-sandbox-0123456789"
_ACCESS_KEY, _SECRET_KEY = "AKIDOFTHESANDBOX", "secret-of-the-sandbox"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Not for workers: they ask for their role's credentials, as in the cloud."""
_PUMP_S = 0.1


class AwsSandbox:
    """A `Sandbox`: one account in one region. `folder` gets a log of each worker that ran.

    Args:
        parallel: workers at a time; the others wait as they would for capacity.
    """

    def __init__(self, folder: Path, *, parallel: int = 1) -> None:
        self._folder = folder
        with ExitStack() as parts:
            moto = parts.enter_context(MotoServer())
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
            stack = Stack(STACK, bucket=BUCKET, queue_url=queue_url, region=REGION, account=ACCOUNT)
            bus = EventBus(self._client("sqs", moto.url), queue_url, stack.told_statuses)
            parts.callback(bus.close)
            self.batch = parts.enter_context(self._make_batch(parts, stack, bus, parallel))
            self.environment["AWS_ENDPOINT_URL_BATCH"] = self.batch.url
            front = parts.enter_context(self._make_front())
            for function in stack.functions(self.environment, bus.put_record, partial(_report, front.simulator)):
                front.simulator.add(function)
            self.settings = _settings(stack, moto.url, self.batch.url, front.url)
            self.facts = {
                "bucket": f"s3://{BUCKET}",
                "events": f"sqs://{EVENTS}",
                "REST API": stack.add_routes(front),
                "x-api-key": API_KEY,
                "S3, SQS, SNS, EventBridge": moto.url,
                "Batch": self.batch.url,
                "Lambda": front.url,
                "logs": str(folder),
            }
            self._parts = parts.pop_all()

    def close(self) -> None:
        """Stop everything; jobs that run are killed."""
        self._parts.close()

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

    def _make_batch(self, parts: ExitStack, stack: Stack, bus: EventBus, parallel: int) -> BatchServer:
        role = parts.enter_context(TaskRole(_ACCESS_KEY, _SECRET_KEY))
        environment = {name: value for name, value in self.environment.items() if name not in _KEYS}
        workers = ProcessExecutor(
            {**environment, **role.environment, "MEDIABROKER_SCRATCH": str(self._folder / "scratch")},
            self._folder,
            entrypoint=(sys.executable, "-m", "neuron_worker"),
            command=("work",),
        )
        simulator = BatchSimulator(workers, account=ACCOUNT, region=REGION, sink=bus.put)
        simulator.lifecycle.capacity = parallel
        for name in stack.queues.values():
            simulator.add_queue(name)
        definition = {"jobDefinitionName": stack.job_definition, "type": "container"}
        container = {"image": "mediabroker-worker"}
        simulator.call("RegisterJobDefinition", {**definition, "containerProperties": container})
        return BatchServer(simulator, secrets={_ACCESS_KEY: _SECRET_KEY}, pump_s=_PUMP_S)

    def _make_front(self) -> LambdaFront:
        simulator = LambdaSimulator(account=ACCOUNT, region=REGION, log_folder=self._folder)
        front = LambdaFront(simulator, secrets={_ACCESS_KEY: _SECRET_KEY}, api_keys={API_KEY})
        self.environment["AWS_ENDPOINT_URL_LAMBDA"] = front.url
        return front


def _report(simulator: LambdaSimulator, function: str, record: dict[str, Any]) -> None:
    """Lambda tells a function of an invocation of another one that it has given up."""
    simulator.accept(simulator.find(function), json.dumps(record).encode())


def _settings(stack: Stack, moto_url: str, batch_url: str, lambda_url: str) -> dict[str, dict[str, Any]]:
    shared = {"account": ACCOUNT, "region": REGION, "s3_endpoint_url": moto_url, "path_style": True}
    quick = {"poll_interval_s": 1.0, "settle_time_s": 0.0}
    batch = {"job_definition": stack.job_definition, "work": f"s3://{BUCKET}/wip", "queues": dict(stack.queues)}
    return {
        "providers": {
            "aws-batch": {**shared, **quick, "endpoint_url": batch_url, **batch},
            "aws-lambda": {**shared, **quick, "endpoint_url": lambda_url, "function": stack.transcoder},
        },
        "stores": {"s3": {"region": REGION, "endpoint_url": moto_url, "path_style": True}},
        "sources": {"sqs": {"region": REGION, "endpoint_url": moto_url}},
    }
