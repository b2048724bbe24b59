"""What the progress shows: phase, frames, rate and time left; a bar on a terminal, few lines elsewhere."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mediabroker.cli.meter import metering, remaining_s
from mediabroker.results import Frames
from mediabroker.states import JobState


def look(progress: float | None, done: int = 0, *, state: JobState = JobState.RUNNING, **more: Any) -> Any:
    """A job as one look at it found it; the meter reads nothing else of a job."""
    frames = Frames(done=done, total=100, per_second=20.0) if done else None
    facts = {"phase": "upscaling", "hold_reason": None, "cancel_requested": False, "transfer": None, **more}
    return SimpleNamespace(state=state, progress=progress, frames=frames, **facts)


def shown(*looks: Any, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, _environ={})
    with metering(console, "a.mp4") as meter:
        for each in looks:
            meter.show(each)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_shows_phase_frames_rate_and_time_left() -> None:
    assert "upscaling · 40/100 frames · 20.0 frames/s · 0:03 left" in shown(look(0.4, 40), terminal=True)


def test_lines_come_with_each_phase_and_each_tenth_only() -> None:
    looks = [look(share / 100, share) for share in range(1, 100)]
    lines = shown(look(None, phase="planning"), *looks, terminal=False).splitlines()
    assert lines[0] == "planning"
    assert 9 <= len(lines) <= 12


def test_a_hold_and_a_cancel_are_said() -> None:
    assert "on hold: nobody knows" in shown(look(None, hold_reason="nobody knows"), terminal=False)
    assert "cancelling" in shown(look(0.5, 50, cancel_requested=True), terminal=False)


@pytest.mark.parametrize(
    ("job", "left_s"), [(look(0.5, 50), 2.5), (look(0.25), 30.0), (look(None), None), (look(0.0), None)]
)
def test_time_left_by_frames_else_by_share_else_unknown(job: Any, left_s: float | None) -> None:
    assert remaining_s(job, started_s=0.0, now_s=10.0) == left_s
