"""One consumer, a queue of AWS and one of Alibaba Cloud: one stream of events, each once and in order."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from mediabroker import Broker, JobSucceeded, Transcode
from mediabroker.config import BrokerSettings
from mediabroker_alibaba import MnsClient
from mediabroker_alibaba.simulator.mns import MnsService
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.world import World
from mediabroker_aws.simulator.moto import MotoServer
from tests.ledger import LedgerProvider, notice

MNS = "mns://1234567890123456.mns.cn-shanghai.aliyuncs.com/queues/done"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret"),
    ):
        monkeypatch.setenv(name, value)


@pytest.fixture
def mns_url() -> Iterator[str]:
    world = World()
    account = world.tenants.add_account("1234567890123456", access_key_id="id", access_key_secret="secret")
    service = MnsService(world)
    service.create_queue(account.id, "done")
    with LoopbackServer(service.answer, clock=world.clock) as server:
        yield server.url
        world.stopping.set()


def test_sqs_and_mns_together_are_one_stream(tmp_path: Path, credentials: None, mns_url: str) -> None:
    (tmp_path / "out.mp4").write_bytes(b"video")
    with MotoServer() as moto, MnsClient(mns_url) as mns:
        sqs = boto3.client("sqs", region_name="eu-west-1", endpoint_url=moto.url)
        queue = sqs.create_queue(QueueName="media-events")["QueueUrl"]
        sources = {
            "sqs": {"endpoint_url": moto.url, "region": "eu-west-1", "long_poll_s": 1},
            "mns": {"endpoint_url": mns_url, "long_poll_s": 1},
        }
        vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor"})
        settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", sources=sources, reconcile_s=600)
        seen: list[tuple[str, str]] = []
        with Broker(settings, providers={"ledger": vendor}) as broker:
            jobs = [broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4")) for _ in range(2)]
            for accepted in vendor.ledger.accepted():
                vendor.ledger.say(accepted["id"], "done")
                told = notice(vendor.ledger, accepted["id"]).decode()
                sqs.send_message(QueueUrl=queue, MessageBody=told)
                mns.send("done", base64.b64encode(told.encode()).decode())
            with broker.events("sqs://media-events", MNS) as stream:
                for event in stream:
                    seen.append((event.ref.job_id, event.type))
                    if sum(1 for _, kind in seen if kind == JobSucceeded.model_fields["type"].default) == len(jobs):
                        break
        sqs.close()
    for job in jobs:
        assert [kind for job_id, kind in seen if job_id == job.id] == ["job_queued", "job_started", "job_succeeded"]
