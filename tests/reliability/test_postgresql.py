"""A fleet on one PostgreSQL: any history of faults, processes killed inside a transaction, consumers side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.store import open_store
from tests.ledger import LedgerProvider
from tests.postgresql import PostgresqlServer
from tests.reliability.test_state_machine import BrokerMachine


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture
def fleet(url: str, tmp_path: Path) -> Iterator[list[Broker]]:
    """Four brokers over one store and one vendor."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                Broker(
                    BrokerSettings(store=url),
                    providers={"ledger": LedgerProvider("ledger", {"folder": tmp_path / "vendor", "steps": ["only"]})},
                )
            )
            for _ in range(4)
        ]


@pytest.fixture
def spec(tmp_path: Path) -> Transcode:
    (tmp_path / "out.mp4").write_bytes(b"video")
    return Transcode(input=__file__, output=tmp_path / "out.mp4")


def test_P2_P3_P7_hold_through_any_history_of_faults(postgresql: PostgresqlServer) -> None:
    class Machine(BrokerMachine):
        def _new_store(self) -> str:
            return postgresql.new_database()

    run_state_machine_as_test(Machine, settings=settings(max_examples=8, stateful_step_count=25, deadline=None))


def test_P2_one_key_is_one_job_from_the_whole_fleet(fleet: list[Broker], spec: Transcode) -> None:
    barrier = Barrier(12)

    def submit(number: int) -> str:
        barrier.wait()
        return fleet[number % 4].submit(spec, idempotency_key="k").id

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(submit, range(12)))) == 1
    fleet[0].reconcile()
    vendor = fleet[0].providers["ledger"]
    assert isinstance(vendor, LedgerProvider)
    assert len(vendor.ledger.accepted()) == 1


def test_P6_consumers_of_one_name_share_the_events_and_each_is_handled_once(
    fleet: list[Broker], spec: Transcode
) -> None:
    jobs = [fleet[number % 4].submit(spec) for number in range(12)]
    vendor = fleet[0].providers["ledger"]
    assert isinstance(vendor, LedgerProvider)
    for each in vendor.ledger.accepted():
        vendor.ledger.say(each["id"], "done")
    fleet[1].reconcile()
    fleet[2].reconcile()
    assert {job.refresh().state for job in jobs} == {JobState.SUCCEEDED}

    def consume(broker: Broker) -> list[tuple[str, int]]:
        with broker.events(idle_timeout=1) as stream:
            return [(event.ref.job_id, event.sequence) for event in stream]

    with ThreadPoolExecutor(4) as pool:
        handled = [each for part in pool.map(consume, fleet) for each in part]
    assert len(handled) == len(set(handled))
    assert {job_id for job_id, _ in handled} == {job.id for job in jobs}
    for job in jobs:
        assert {sequence for job_id, sequence in handled if job_id == job.id} == {
            event.sequence for event in job.events(follow=False)
        }


HOLD = """
import sys
from sqlalchemy import text
from mediabroker.store import open_store
with open_store(sys.argv[1]).write() as tx:
    tx.execute(text("UPDATE schema_info SET version = 99"))
    print("inside", flush=True)
    sys.stdin.read()
"""


def test_a_process_killed_inside_a_transaction_leaves_nothing_and_lets_the_others_write(url: str) -> None:
    open_store(url).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "inside\n"
        child.kill()
    store = open_store(url, busy_timeout_s=30)
    with store.write() as tx:
        assert tx.exec_driver_sql("SELECT version FROM schema_info").scalar() != 99
    store.close()
