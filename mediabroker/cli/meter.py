"""How far a job is, on stderr: a live bar where somebody looks, a line now and then where nobody does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.text import Text

from mediabroker.cli.units import size_text
from mediabroker.states import JobState

if TYPE_CHECKING:
    from mediabroker.broker import Job

__all__ = ["Meter", "metering", "remaining_s"]

_LINE_EVERY = 0.1
"""Share of the work after which a plain line is due."""


class Meter(Protocol):
    """Shows a job's latest look."""

    def show(self, job: Job[Any]) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def metering(console: Console, title: str, *, silent: bool = False) -> Iterator[Meter]:
    """A meter for one job: none for machines, a bar on a terminal, lines elsewhere."""
    if silent:
        yield _Silence()
    elif not console.is_terminal:
        yield _Lines(console)
    else:
        columns = (
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=30, complete_style="cyan", pulse_style="cyan"),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield _Bar(progress, title)


def remaining_s(job: Job[Any], started_s: float, now_s: float) -> float | None:
    """Time left in seconds: by the measured frame rate, else by the share done since `started_s`; None if unknown."""
    frames = job.frames
    if frames and frames.total and frames.per_second:
        return max(frames.total - frames.done, 0) / frames.per_second
    if job.progress:
        return (now_s - started_s) * (1 - job.progress) / job.progress
    return None


class _Silence:
    def show(self, job: Job[Any]) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=None, detail="submitting")
        self._started_s: float | None = None

    def show(self, job: Job[Any]) -> None:
        now_s = time.monotonic()
        if job.state is JobState.RUNNING and self._started_s is None:
            self._started_s = now_s
        detail = " · ".join([_where(job), *_figures(job), *_left(job, self._started_s, now_s)])
        total = 1.0 if job.progress is not None else None
        self._progress.update(self._task, total=total, completed=job.progress or 0.0, detail=detail)

    def note(self, text: str) -> None:
        self._progress.console.print(Text(text), soft_wrap=True)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._where = ""
        self._next = _LINE_EVERY
        self._started_s: float | None = None

    def show(self, job: Job[Any]) -> None:
        now_s = time.monotonic()
        if job.state is JobState.RUNNING and self._started_s is None:
            self._started_s = now_s
        progress = job.progress or 0.0
        where = _where(job)
        if where == self._where and progress < self._next:
            return
        self._where = where
        self._next = progress + _LINE_EVERY
        percent = [] if job.progress is None else [f"{progress:.0%}"]
        self.note(" · ".join([where, *percent, *_figures(job), *_left(job, self._started_s, now_s)]))

    def note(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _where(job: Job[Any]) -> str:
    if job.hold_reason:
        return f"on hold: {job.hold_reason}"
    if job.cancel_requested:
        return "cancelling"
    if job.state is JobState.RUNNING:
        return job.phase or "running"
    word = str(job.state).lower()
    return f"{word} ({job.phase})" if job.phase and job.phase != word else word


def _figures(job: Job[Any]) -> list[str]:
    frames, transfer = job.frames, job.transfer
    if transfer:
        return [f"{size_text(transfer.done_bytes)} of {size_text(transfer.total_bytes)} copied"]
    if not frames:
        return []
    counted = f"{frames.done}/{frames.total} frames" if frames.total else f"{frames.done} frames"
    return [counted, f"{frames.per_second:.1f} frames/s"] if frames.per_second else [counted]


def _left(job: Job[Any], started_s: float | None, now_s: float) -> list[str]:
    left_s = remaining_s(job, started_s, now_s) if started_s is not None else None
    if left_s is None or job.state is not JobState.RUNNING:
        return []
    minutes, seconds = divmod(round(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    return [f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"]
