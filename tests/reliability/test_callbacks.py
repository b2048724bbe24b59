"""Callbacks through a queue as bad as the contracts allow, and through kill -9: nothing lost, nothing told twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from mediabroker import Broker, JobState, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.events import JobEvent
from mediabroker.messages import InboundMessage
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI
from mediabroker.storage.file import FileStore
from mediabroker.testing.queues import Faults, FaultyQueue
from tests.ledger import LedgerProvider, notice
from tests.unit.broker.conftest import HandClock

_JOBS = 30
_GARBAGE = [b"", b"\xff\xfe", b"[" * 500, b'{"from":"ledger"}', b'{"Type":"Notification","TopicArn":"t","Message":"x"}']
_FAULTS = Faults(duplicate=0.2, drop=0.1, shuffle=True, delete_fails=0.05, ghost=0.05, refuse=0.02)
_TERMINAL = ("job_succeeded", "job_failed")
_LEGAL = (["job_queued", "job_started"], ["job_queued"])


@pytest.mark.parametrize("seed", [1, 2])
def test_C1_C2_C4_C6_C8_every_job_is_told_once_and_in_order_however_the_queue_misbehaves(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor", "steps": ("only",)})
    queue = FaultyQueue(tmp_path / "queue.db", faults=_FAULTS, seed=seed, visibility_s=0.5)
    garbage = FaultyQueue(tmp_path / "queue.db", seed=seed)
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    (tmp_path / "out.mp4").write_bytes(b"video")
    with Broker(settings, providers={"ledger": vendor}, clock=HandClock()) as broker:
        jobs = [broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4")) for _ in range(_JOBS)]
        moves = [(job.ref.members[0].native_id, word) for job in jobs for word in ("working", "end")]
        ends = {job.id: chance.choice(("done", "broken")) for job in jobs}
        job_of = {job.ref.members[0].native_id: job.id for job in jobs}
        chance.shuffle(moves)
        ended: set[str] = set()
        for native_id, move in moves:
            word = ends[job_of[native_id]] if move == "end" else "working"
            if native_id not in ended:
                vendor.ledger.say(native_id, word)
                queue.send(notice(vendor.ledger, native_id))
            if move == "end":
                ended.add(native_id)
        for body in _GARBAGE:
            garbage.send(body)
        told = _consume(broker, queue)
        assert {job.id for job in jobs} == set(told)
        for job in jobs:
            events = told[job.id]
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            *before, last = [event.type for event in events]
            assert before in _LEGAL
            assert last == ("job_succeeded" if ends[job.id] == "done" else "job_failed")
        assert sorted(each.body for each in broker.quarantined()) == sorted(_GARBAGE)
        assert all(each.received >= 5 for each in broker.quarantined())


def _consume(broker: Broker, queue: FaultyQueue) -> dict[str, list[JobEvent]]:
    """All events that are offered until every job has ended and the queue is empty."""
    told: dict[str, list[JobEvent]] = defaultdict(list)
    ended = 0
    with broker.events(queue, consumer="test") as stream:
        for event in stream:
            told[event.ref.job_id].append(event)
            ended += event.type in _TERMINAL
            if ended == _JOBS:
                break
        while len(queue):
            broker._core.clock.wait(stream._feed._stop, 0.05)
    with broker.events(consumer="test", idle_timeout=0.0) as stream:
        assert list(stream) == []
    return told


class _Deadly(FaultyQueue):
    """Kills its process at the named moment of a round."""

    def __init__(self, path: Path, when: str) -> None:
        super().__init__(path, visibility_s=0.0)
        self._when = when

    def _die_if(self, when: str) -> None:
        if when == self._when:
            os.kill(os.getpid(), signal.SIGKILL)

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        found = super().receive(wait_s=wait_s)
        if found:
            self._die_if("received")
        return found

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        self._die_if("committed")
        failed = super().delete(messages)
        self._die_if("deleted")
        return failed


class _DeadlyFiles(FileStore):
    """Kills its process when an output is looked at: the attempt's lease is held then."""

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().stat(uri)


_CHILD = """
import sys
from pathlib import Path
from tests.reliability.test_callbacks import consume_and_die
consume_and_die(Path(sys.argv[1]), sys.argv[2])
"""


def _broker(folder: Path) -> tuple[Broker, LedgerProvider]:
    vendor = LedgerProvider("ledger", {"folder": folder / "vendor", "steps": ("only",)})
    settings = BrokerSettings(store=f"sqlite:///{folder / 'jobs.db'}", lease_s=0.2, reconcile_s=600)
    return Broker(settings, providers={"ledger": vendor}), vendor


def consume_and_die(folder: Path, when: str) -> None:
    """Runs in the child."""
    broker, _ = _broker(folder)
    if when == "delivering":
        broker._core.stores._open["file"] = _DeadlyFiles()
    with broker.events(_Deadly(folder / "queue.db", when), consumer="test") as stream:
        for event in stream:
            (folder / "handled").open("a").write(event.id + "\n")
            if when == "handled":
                os.kill(os.getpid(), signal.SIGKILL)
            if event.type == "job_succeeded":
                Event().wait()  # still in hand when death comes, whoever was faster: the parent is offered it again


@pytest.mark.parametrize("when", ["received", "committed", "deleted", "delivering", "handled"])
def test_C5_C11_kill_at_any_moment_of_a_round_loses_nothing(tmp_path: Path, when: str) -> None:
    (tmp_path / "out.mp4").write_bytes(b"video")
    broker, vendor = _broker(tmp_path)
    queue = FaultyQueue(tmp_path / "queue.db", visibility_s=0.0)
    with broker:
        job = broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
        vendor.ledger.say("job-0", "done")
        for body in (notice(vendor.ledger, "job-0"), b"garbage"):
            queue.send(body)
        child = subprocess.run([sys.executable, "-c", _CHILD, str(tmp_path), when], timeout=60, check=False)
        assert child.returncode == -signal.SIGKILL
        seen = []
        with broker.events(queue, consumer="test") as stream:
            for event in stream:
                seen.append(event)
                if event.type == "job_succeeded":
                    break
            while len(queue):
                broker._core.clock.wait(stream._feed._stop, 0.05)
        assert job.refresh().state is JobState.SUCCEEDED
        assert [each.body for each in broker.quarantined()] == [b"garbage"]
        handled = (tmp_path / "handled").read_text().split() if (tmp_path / "handled").exists() else []
        story = [event.id for event in job.events()]
        assert [*dict.fromkeys([*handled, *(event.id for event in seen)])] == story, "all, in order, and the same ids"
        if when == "handled":
            assert seen[0].id == handled[-1], "the side effect may happen twice, with the same id"


_SERVE = """
import sys
from pathlib import Path
from tests.reliability.test_callbacks import serve_until_told
serve_until_told(Path(sys.argv[1]))
"""


def serve_until_told(folder: Path) -> None:
    """Runs in the child: handlers until SIGTERM."""
    broker, _ = _broker(folder)

    @broker.on()
    def note(event: JobEvent) -> None:
        print(event.type, flush=True)  # noqa: T201  the parent reads it

    with broker:
        broker.serve(FaultyQueue(folder / "queue.db", long_poll_s=20.0), consumer="test")
    print("ended", flush=True)  # noqa: T201  as above


def test_C19_sigterm_ends_serve_within_ten_seconds_also_in_a_long_poll(tmp_path: Path) -> None:
    broker, _ = _broker(tmp_path)
    with broker:
        broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
    command = [sys.executable, "-c", _SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "job_queued\n"
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=10)
    assert (child.returncode, out) == (0, "ended\n")
