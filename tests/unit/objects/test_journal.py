"""The journal in an object store: whatever breaks, and whoever else is at work, a vendor gets one job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediabroker.errors import MediaBrokerError, ProviderError, SubmissionUnknownError, ThrottledError
from mediabroker.flows.calls import Call, Flow, Reply, ask, drive
from mediabroker.flows.engine import Engine, HoldError, StopRequestedError
from mediabroker.flows.journal import Entry
from mediabroker.objects import ObjectJournal, Records
from mediabroker.storage.file import FileStore
from tests.unit.broker.conftest import HandClock

SETTLE_S = 30.0


class KilledError(BaseException):
    """What a process does not survive."""


class Memory:
    """Records in memory, which break at one write: before it takes effect, or after."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.breaks_in, self.after, self.error = -1, False, BaseException()

    def read(self, name: str, kind: Any) -> dict[str, Any] | None:
        return self.kept.get(name)

    def add(self, name: str, content: Any) -> bool:
        self.breaks_in -= 1
        if self.breaks_in == 0 and not self.after:
            raise self.error
        is_first = name not in self.kept
        self.kept.setdefault(name, content)
        if self.breaks_in == 0:
            raise self.error
        return is_first


class Farm:
    """A vendor that can be searched; answers to creates are lost, or creates refused for now, by a plan."""

    name = "farm"

    def __init__(self, plan: Sequence[str] = ()) -> None:
        self.jobs: dict[str, list[str]] = {}
        self._plan: Iterator[str] = iter(plan)

    def perform(self, call: Call[Any]) -> Reply:
        if call.effect == "read":
            return {"size": 3}
        fate = next(self._plan, "answered")
        if fate == "throttled":
            raise ThrottledError("slowly", provider=self.name, operation=call.operation)
        if fate == "lost before":
            raise SubmissionUnknownError("no answer", provider=self.name, operation=call.operation)
        made = self.jobs.setdefault(call.step, [])
        made.append(f"{call.step}-{len(made)}")
        if fate == "lost after":
            raise SubmissionUnknownError("no answer", provider=self.name, operation=call.operation)
        return {"id": made[-1]}

    def settle_time_s(self, call: Call[Any]) -> float | None:
        return SETTLE_S

    def search(self, entry: Entry) -> Sequence[Reply]:
        return [{"id": each} for each in self.jobs.get(entry.step, [])]

    def may_risk_second_job(self, entry: Entry) -> bool:
        return False

    def discard(self, call: Call[Any], duplicates: Sequence[Reply]) -> None:
        raise AssertionError(f"{call.step} was started twice")


def flow() -> Flow[list[str]]:
    yield from ask(Call("farm", "Look", {"at": "source"}))
    first = yield from ask(Call("farm", "Submit", {"n": 1}, "create", "array", lambda reply: str(reply["id"])))
    second = yield from ask(Call("farm", "Submit", {"after": first}, "create", "merge", lambda reply: str(reply["id"])))
    return [first, second]


def run(farm: Farm, records: Any, clock: HandClock) -> list[str]:
    return drive(flow(), Engine(farm, ObjectJournal(records, is_stopped=lambda: False), clock))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [ProviderError("closed"), KilledError()], ids=["trouble", "death"])
@settings(max_examples=60, deadline=None)
@given(
    breaks_in=st.integers(1, 8),
    plan=st.lists(st.sampled_from(["answered", "lost before", "lost after", "throttled"]), max_size=5),
)
def test_whatever_breaks_and_whatever_is_lost_each_step_is_one_job(
    after: bool, error: BaseException, breaks_in: int, plan: list[str]
) -> None:
    farm, clock, memory = Farm(plan), HandClock(), Memory()
    memory.breaks_in, memory.after, memory.error = breaks_in, after, error
    done: list[str] = []
    for _ in range(40):
        with suppress(MediaBrokerError, KilledError):
            done = run(farm, memory, clock)
            break
        clock.advance(SETTLE_S + 1)
    assert done == ["array-0", "merge-0"]
    assert farm.jobs == {"array": ["array-0"], "merge": ["merge-0"]}
    assert run(farm, memory, clock) == done


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "log").mkdir()
    return Records(FileStore(), (tmp_path / "log").as_uri())


def entry(call: Call[Any], clock: HandClock) -> Entry:
    return Entry.of(0, call, sent_at=clock.now())


CALL: Call[Any] = Call("farm", "Submit", {"n": 1}, "create", "array", lambda reply: str(reply["id"]))


def test_of_two_processes_that_are_about_to_send_one_stops(records: Records) -> None:
    clock = HandClock()
    one, other = (ObjectJournal(records, is_stopped=lambda: False) for _ in range(2))
    one.begin(entry(CALL, clock))
    with pytest.raises(HoldError, match="another process"):
        other.begin(entry(CALL, clock))


def test_an_answer_that_comes_while_another_process_searches_is_kept(records: Records) -> None:
    clock = HandClock()
    one = ObjectJournal(records, is_stopped=lambda: False)
    one.begin(entry(CALL, clock))
    farm = Farm()
    with pytest.raises(HoldError, match="is unknown"):
        drive(iter_create(), Engine(farm, ObjectJournal(records, is_stopped=lambda: False), clock))
    one.record(Entry(0, "farm", "Submit", {"n": 1}, "create", "array", status="accepted", reply={"id": "late"}))
    clock.advance(SETTLE_S + 1)
    again = Engine(farm, ObjectJournal(records, is_stopped=lambda: False), clock)
    assert drive(iter_create(), again) == "late"
    assert farm.jobs == {}


def iter_create() -> Flow[str]:
    return (yield from ask(CALL))


def test_a_stopped_job_sends_nothing_more(records: Records) -> None:
    journal = ObjectJournal(records, is_stopped=lambda: True)
    with pytest.raises(StopRequestedError):
        journal.begin(entry(CALL, HandClock()))
    assert journal.is_empty
    assert records.read("0000.json", dict) is None
