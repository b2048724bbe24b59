"""What durability costs: the broker beside bare loops of the SDK, against the same servers, taking turns.

    submit    `Broker.submit` of a job that is one `SubmitJob` call | boto3's `submit_job`, on the Batch simulator
    consume   receive, take in and commit, delete                   | boto3's receive and delete, on moto's SQS

python benchmarks/durability.py [--rounds 5] [--calls 60]

The servers run in a process of their own. Ratios are of medians, bare loop over broker: 1 means that durability is
free. The ratio by wall time includes the servers, which are slower than the real ones; the one by processor time of
this process alone is the stricter one. The store is SQLite with `synchronous=FULL`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from mediabroker import Broker, MediaInfo
from mediabroker.broker.events.ingesting import ingest
from mediabroker.callbacks.receive import Receiver
from mediabroker.clock import SystemClock
from mediabroker.config import BrokerSettings
from mediabroker.errors import JobError, ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.models import build_settings
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Capabilities,
    Flow,
    Member,
    Observation,
    Provider,
    ProviderOptions,
    SubmitContext,
    Submitted,
    ask,
)
from mediabroker_aws import SqsSource
from mediabroker_aws.batch.transports import BatchTransport
from mediabroker_aws.settings import BatchSettings

REGION, ACCOUNT = "eu-west-1", "123456789012"
BATCH = 10
SERVERS = """
import json, sys
from mediabroker_aws.simulator import BatchServer, BatchSimulator, ScriptedExecutor
from mediabroker_aws.simulator.moto import MotoServer
simulator = BatchSimulator(ScriptedExecutor(), account="123456789012", region="eu-west-1")
simulator.add_queue("spot")
simulator.call("RegisterJobDefinition", {"jobDefinitionName": "work", "type": "container",
                                         "containerProperties": {"image": "worker", "command": ["work"]}})
with BatchServer(simulator) as batch:
    moto = MotoServer()
    print(json.dumps({"batch": batch.url, "sqs": moto.url}), flush=True)
    sys.stdin.read()
    moto.close()
"""


class OneCall(Provider):
    """A job is one `SubmitJob`, and a callback names it: what the broker adds is all that is measured."""

    type = "one-call"

    def capabilities(self) -> Capabilities:
        files = frozenset({"file"})
        return Capabilities(kinds=("media_info",), input_schemes=files, output_schemes=files)

    def connect(self, service: str) -> BatchTransport:  # noqa: ARG002  there is one
        return BatchTransport(build_settings(BatchSettings, "bench", self.settings))

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:  # noqa: ARG002  nothing else to say
        params = build_submit(f"mb-{ctx.token}")
        call = Call("batch", "SubmitJob", params, "create", "job", lambda reply: str(reply["jobId"]))
        return Submitted(members=(Member(role="job", native_id=(yield from ask(call))),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:  # noqa: ARG002  never asked
        yield from ()
        return []

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:  # noqa: ARG002  never asked
        yield from ()
        return CancelOutcome.UNSUPPORTED

    def parse(self, message: Mapping[str, Any]) -> list[Observation] | None:
        return [Observation(native_id=str(message["job"]))]

    def classify(self, failure: ProviderError) -> JobError:
        raise failure


def build_submit(name: str) -> dict[str, Any]:
    return {"jobName": name, "jobQueue": "spot", "jobDefinition": "work"}


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """The simulators' URLs."""
    child = subprocess.Popen([sys.executable, "-c", SERVERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def client(service: str, url: str) -> Any:
    once = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, region_name=REGION, endpoint_url=url, config=once)


def compare(title: str, bare: Callable[[], int], broker: Callable[[], int], rounds: int) -> None:
    """Run both by turns; print what each does in a second, and the ratios."""
    took: dict[str, list[tuple[float, float]]] = {"bare": [], "broker": []}
    for _ in range(rounds):
        for name, run in (("bare", bare), ("broker", broker)):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            done = run()
            took[name].append(((time.perf_counter() - began_s) / done, (time.process_time() - began_cpu_s) / done))
    wall = {name: statistics.median(each[0] for each in runs) for name, runs in took.items()}
    cpu = {name: statistics.median(each[1] for each in runs) for name, runs in took.items()}
    for name in took:
        print(f"{title:8} {name:7} {1 / wall[name]:8.0f}/s {cpu[name] * 1000:7.2f} ms of processor time each")
    ratios = f"by wall time {wall['bare'] / wall['broker']:.2f}, by processor time {cpu['bare'] / cpu['broker']:.2f}"
    print(f"{title:8} ratio   {ratios}")


def submitting(broker: Broker, url: str, calls: int, rounds: int) -> list[str]:
    """Compare submits; the ids of what the broker has submitted."""
    batch, ids, number = client("batch", url), list[str](), iter(range(1_000_000))

    def bare() -> int:
        for _ in range(calls):
            batch.submit_job(**build_submit(f"bare-{next(number)}"))
        return calls

    def durable() -> int:
        for _ in range(calls):
            ids.append(broker.submit(MediaInfo(input=__file__)).ref.members[0].native_id)
        return calls

    compare("submit", bare, durable, rounds)
    return ids


def consuming(broker: Broker, url: str, ids: Sequence[str], rounds: int) -> None:
    """Compare the way of a message from the queue to its deletion."""
    sqs = client("sqs", url)
    queue = sqs.create_queue(QueueName="bench")["QueueUrl"]
    source = SqsSource("sqs://bench", {"region": REGION, "endpoint_url": url, "long_poll_s": 1})
    receiver = Receiver(
        source, lambda messages: [each.settled for each in ingest(broker._core, messages)], SystemClock()
    )

    def fill() -> None:
        for at in range(0, len(ids), BATCH):
            bodies = [json.dumps({"job": each}) for each in ids[at : at + BATCH]]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            sqs.send_message_batch(QueueUrl=queue, Entries=entries)

    def bare() -> int:
        left = len(ids)
        while left > 0:
            got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=BATCH)["Messages"]
            entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(got)]
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
            left -= len(got)
        return len(ids)

    def durable() -> int:
        left = len(ids)
        while left > 0:
            left -= receiver.receive_once(1)
        return len(ids)

    for _ in range(2 * rounds):
        fill()
    compare("consume", bare, durable, rounds)
    source.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="What durability costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=60, help="in each round")
    given = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "AKIDOFTHEBENCH", "AWS_SECRET_ACCESS_KEY": "secret-of-the-bench"}
    with tempfile.TemporaryDirectory() as folder, servers() as urls:
        settings = {"account": ACCOUNT, "region": REGION, "endpoint_url": urls["batch"], "queues": {"spot": "spot"}}
        provider = OneCall("one-call", {**settings, "job_definition": "work", "work": "s3://bench/wip"})
        chosen = BrokerSettings(store=f"sqlite:///{Path(folder) / 'jobs.db'}")
        with Broker(chosen, providers={"one-call": provider}) as broker:
            ids = submitting(broker, urls["batch"], given.calls, given.rounds)
            consuming(broker, urls["sqs"], ids[: given.calls], given.rounds)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
