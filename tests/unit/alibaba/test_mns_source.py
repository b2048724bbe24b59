"""MNS as a source of events: what a receiver relies on, over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from mediabroker import Broker, JobSucceeded, Transcode
from mediabroker.callbacks.sources import open_source
from mediabroker.config import BrokerSettings
from mediabroker.errors import ProviderError
from mediabroker.messages import InboundMessage
from mediabroker_alibaba import MnsClient, MnsSource
from mediabroker_alibaba.simulator.mns import Chaos, MnsService
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World
from tests.ledger import LedgerProvider, notice
from tests.unit.alibaba.conftest import ACCOUNT

URL = "mns://1234567890123456.mns.cn-shanghai.aliyuncs.com/queues/done"


@pytest.fixture
def tables(mns_url: str) -> dict[str, dict[str, Any]]:
    return {"mns": {"endpoint_url": mns_url, "long_poll_s": 1}}


@pytest.fixture
def client(mns_url: str, mns: MnsService, account: Account) -> Iterator[MnsClient]:
    mns.create_queue(account.id, "done")
    with MnsClient(mns_url) as client:
        yield client


@pytest.fixture
def source(tables: dict[str, dict[str, Any]], client: MnsClient) -> Iterator[MnsSource]:
    source = open_source(URL, tables)
    assert isinstance(source, MnsSource)
    yield source
    source.close()


def test_a_message_comes_with_its_bytes_and_count(source: MnsSource, client: MnsClient) -> None:
    client.send("done", "größe \U0001f3ac")
    (message,) = source.receive(wait_s=5)
    assert message.body == "größe \U0001f3ac".encode()
    assert (message.source, message.receive_count) == (URL, 1)
    assert "EnqueueTime" in message.attributes
    assert message.receipt not in repr(message)


def test_an_empty_queue_is_no_error(source: MnsSource) -> None:
    assert source.receive(wait_s=0) == []
    assert source.receive(wait_s=0.9) == []


def test_a_long_poll_ends_with_the_message_that_comes(source: MnsSource, mns: MnsService, account: Account) -> None:
    source._settings = source._settings.model_copy(update={"long_poll_s": 30})
    sender = Timer(0.3, lambda: mns.post(account.id, "cn-shanghai", "done", "hello"))
    sender.start()
    assert [each.body for each in source.receive(wait_s=30)] == [b"hello"]
    sender.join()


def test_a_received_message_is_hidden_until_it_is_released_and_counts(
    source: MnsSource, client: MnsClient, world: World
) -> None:
    client.send("done", "{}")
    first = source.receive(wait_s=1)
    assert source.receive(wait_s=0) == []
    source.release(first)
    world.clock.advance(1)
    (again,) = source.receive(wait_s=1)
    assert (again.id, again.receive_count) == (first[0].id, 2)
    source.release([again], delay_s=600)
    world.clock.advance(599)
    assert source.receive(wait_s=0) == []
    source.release([again])  # its receipt is void: it comes again by itself


def test_deleted_messages_are_gone_also_more_than_one_batch_of_them(source: MnsSource, client: MnsClient) -> None:
    for _ in range(3):
        client.send_batch("done", ["{}"] * 12)
    taken: list[InboundMessage] = []
    while len(taken) < 36:
        taken += source.receive(wait_s=1)
    assert source.delete(taken) == []
    attributes = client.queue_attributes("done")
    assert attributes["ActiveMessages"] == attributes["InactiveMessages"] == "0"


def test_C9_only_entries_that_may_succeed_are_deleted_again(
    source: MnsSource, client: MnsClient, mns: MnsService, account: Account, world: World
) -> None:
    client.send_batch("done", ["{}"] * 3)
    taken = source.receive(wait_s=1)
    stale = InboundMessage(b"", id="s", receipt="8-" + "A" * 32)
    mns.queue(account.id, "done").chaos = Chaos(delete_fails=1.0)
    assert set(map(id, source.delete([*taken, stale]))) == set(map(id, [*taken, stale]))
    mns.queue(account.id, "done").chaos = Chaos(delete_fails=0.3)
    assert source.delete(taken) == []


def test_a_queue_that_is_not_there_is_named(tables: dict[str, dict[str, Any]], account: Account) -> None:
    source = open_source(URL.replace("done", "nobody-made-it"), tables)
    with pytest.raises(ProviderError, match="nobody-made-it"):
        source.receive(wait_s=0)
    source.close()


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: base64.b64encode(text.encode()).decode()])
def test_the_broker_consumes_a_bad_queue_in_either_encoding(
    tmp_path: Path, tables: dict[str, dict[str, Any]], client: MnsClient, mns: MnsService, wrap: Callable[[str], str]
) -> None:
    mns.queue(ACCOUNT, "done").chaos = Chaos(duplicate=0.5, shuffle=True, delete_fails=0.3)
    (tmp_path / "out.mp4").write_bytes(b"video")
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor"})
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}", sources=tables, reconcile_s=600)
    with Broker(settings, providers={"ledger": vendor}) as broker:
        broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
        seen = []
        with broker.events(URL) as stream:
            seen.append(next(stream).type)
            for each in ("job-0", "job-1"):
                vendor.ledger.say(each, "done")
                client.send("done", wrap(notice(vendor.ledger, each).decode()))
            for event in stream:
                seen.append(event.type)
                if isinstance(event, JobSucceeded):
                    break
    assert seen == ["job_queued", "job_started", "job_succeeded"]
