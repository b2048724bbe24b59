"""Staying with a job until it has ended, and what Ctrl-C means meanwhile."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mediabroker.cli.failures import Interrupted
from mediabroker.cli.meter import Meter, metering
from mediabroker.cli.terminal import Terminal
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState

if TYPE_CHECKING:
    from mediabroker.broker import Job

__all__ = ["follow"]

_LOOK_EVERY_S = 0.2


def follow(terminal: Terminal, job: Job[Any], *, timeout_s: float | None = None, cancel_on_interrupt: bool) -> None:
    """Show the job's progress until it has ended.

    With `cancel_on_interrupt` the first Ctrl-C asks the job to cancel and waits for what comes of it, the second one
    leaves at once; without it the first one leaves. Leaving never touches the job.

    Raises:
        Interrupted: the user left, or the job was cancelled; the message says which, and how to go on.
        TimeoutError: `timeout_s` seconds are over; the job goes on.
    """
    title = job.spec.input.name if job.spec else job.id
    with metering(terminal.err, title, silent=terminal.json) as meter:
        try:
            _look_on(job, meter, timeout_s)
        except KeyboardInterrupt:
            if not cancel_on_interrupt:
                raise Interrupted(_goes_on(job)) from None
            _cancel(job, meter)


def _look_on(job: Job[Any], meter: Meter, timeout_s: float | None) -> None:
    ends_s = None if timeout_s is None else time.monotonic() + timeout_s
    while not job.done():
        meter.show(job)
        left_s = _LOOK_EVERY_S if ends_s is None else min(_LOOK_EVERY_S, ends_s - time.monotonic())
        if left_s <= 0:
            raise TimeoutError(f"not ended within {timeout_s:g} s; {_goes_on(job)}")
        with suppress(TimeoutError):
            job.wait(left_s)


def _cancel(job: Job[Any], meter: Meter) -> None:
    try:
        meter.note("cancelling the job; Ctrl-C again leaves without waiting")
        outcome = job.cancel()
        if outcome is CancelOutcome.UNSUPPORTED:
            raise Interrupted(f"the provider cannot cancel this job; {_goes_on(job)}")
        _look_on(job, meter, None)
    except KeyboardInterrupt:
        raise Interrupted(f"left while the cancel was under way; {_goes_on(job)}") from None
    if job.state is JobState.CANCELLED:
        output = f"; nothing was written to {job.spec.output}" if job.spec and job.spec.output else ""
        raise Interrupted(f"job {job.id} is cancelled{output}")
    meter.note(f"the cancel came too late: the job had already ended {job.state}")


def _goes_on(job: Job[Any]) -> str:
    return f"job {job.id} goes on; to see it again: mediabroker watch {job.id}"
