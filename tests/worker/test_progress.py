"""Progress: not too often, and honest about speed."""

from __future__ import annotations

from neuron_worker.progress import FrameCounter, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_told_at_most_four_times_a_second_with_the_speed_of_the_last_seconds() -> None:
    clock, told = Clock(), list[Progress]()
    counter = FrameCounter(1000, told.append, clock)
    for _ in range(200):
        clock.now += 0.05
        counter.add()
    assert len(told) <= 4 * 10 + 1
    assert told[-1].fps == 20.0
    counter.finish()
    assert told[-1] == Progress(200, 1000, 20.0)


def test_frames_of_an_earlier_run_count_but_are_no_speed() -> None:
    clock, told = Clock(), list[Progress]()
    counter = FrameCounter(None, told.append, clock)
    counter.skip(500)
    clock.now += 1
    counter.add()
    assert told == [Progress(501, None, 1.0)]
