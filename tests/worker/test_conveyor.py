"""Overlapping stages: order, bounded memory, errors that arrive, threads that end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from threading import Event

import pytest

from neuron_worker.failures import InterruptedWorkError
from neuron_worker.video.conveyor import convey


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_results_come_in_the_order_of_the_source() -> None:
    assert list(convey(range(100), lambda each: each * 2, depth=3, stop=Event())) == list(range(0, 200, 2))


def test_source_runs_at_most_depth_items_ahead() -> None:
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    for number in convey(source(), lambda each: each, depth=4, stop=Event()):
        assert len(drawn) <= number + 5
    assert len(drawn) == 20


@pytest.mark.parametrize("where", ["source", "submit"])
def test_error_in_the_thread_arrives_after_the_items_before_it(where: str) -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        if where == "source":
            raise LookupError("broken")
        yield 3

    def submit(each: int) -> int:
        if each == 3:
            raise LookupError("broken")
        return each

    seen: list[int] = []
    with pytest.raises(LookupError, match="broken"):
        seen.extend(convey(source(), submit, depth=2, stop=Event()))
    assert seen == [0, 1, 2]


def test_error_of_the_consumer_ends_the_thread_and_closes_the_source() -> None:
    closed = Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    belt = convey(source(), lambda each: each, depth=2, stop=Event())
    assert next(belt) == 0
    belt.close()
    assert closed.is_set()


def test_stop_ends_the_iteration() -> None:
    stop, seen = Event(), []
    with pytest.raises(InterruptedWorkError):
        for each in convey(iter(int, 1), lambda each: each, depth=2, stop=stop):
            seen.append(each)
            if len(seen) == 5:
                stop.set()
    assert len(seen) == 5
