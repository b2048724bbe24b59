"""Who works on what: a claim spares two workers the same work; that it has one effect does not rest on it.

A claim lives as long as it changes: its holder counts it up, and whoever waits watches the count by his own clock, so
no two machines need to agree on the time. A later attempt of the same job takes its own claim over at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from mediabroker.errors import MediaBrokerError
from mediabroker.models import Value
from neuron_worker.failures import heed
from neuron_worker.fleet.shelf import Shelf

__all__ = ["PATIENCE_S", "Claim", "Claims", "claim_name"]

_log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""How long a claim of another job may stand still before its holder is taken for dead."""
_BEATS = 4
_LOOKS = 10


class Claim(Value, frozen=True):
    """`holder` works on it; `beat` counts up while it does."""

    holder: str
    beat: int = 0


def claim_name(unit: str) -> str:
    """Where the claim to a unit of work lies."""
    return f"{unit}.claim"


class Claims:
    """The claims of one worker.

    Args:
        holder: the same for every attempt of one job, another for every other job.
        patience_s: see `PATIENCE_S`; the same for all workers of a job.
    """

    def __init__(self, shelf: Shelf, holder: str, *, patience_s: float = PATIENCE_S) -> None:
        self._shelf, self._holder, self._patience_s = shelf, holder, patience_s

    @contextmanager
    def hold(self, unit: str, is_done: Callable[[], bool], stop: Event) -> Iterator[bool]:
        """Whether the body shall do the work; False: it is done, maybe by another worker that was waited for.

        Raises:
            InterruptedWorkError: `stop` was set while another worker was waited for.
        """
        version = self._take(unit, is_done, stop)
        if version is None:
            yield False
            return
        ended = Event()
        beating = Thread(target=self._beat, args=(unit, version, ended), name=f"claim {unit}", daemon=True)
        beating.start()
        try:
            yield True
        finally:
            ended.set()
            beating.join(timeout=1)

    def _take(self, unit: str, is_done: Callable[[], bool], stop: Event) -> str | None:
        """Return the version of this worker's claim, or None when the work is done."""
        name, mine = claim_name(unit), Claim(holder=self._holder)
        seen, since = None, time.monotonic()
        while not is_done():
            heed(stop)
            if self._shelf.add(name, mine):
                continue  # and read its version
            found = self._shelf.find(name, Claim)
            if found is not None and found.record.holder == self._holder:
                return found.version
            if found != seen:
                seen, since = found, time.monotonic()
            elif found is not None and time.monotonic() - since >= self._patience_s:
                if version := self._shelf.replace(name, mine, if_version=found.version):
                    _log.warning("a claim that stands still is taken over (unit %s)", unit, extra={"unit": unit})
                    return version
                continue  # another worker was first, or the holder lives
            stop.wait(self._patience_s / _LOOKS)
        return None

    def _beat(self, unit: str, version: str, ended: Event) -> None:
        beat = 0
        while not ended.wait(self._patience_s / _BEATS):
            beat += 1
            claim = Claim(holder=self._holder, beat=beat)
            try:
                written = self._shelf.replace(claim_name(unit), claim, if_version=version)
            except MediaBrokerError as error:
                # At worst another worker does the same work; the first result counts.
                _log.warning("a claim could not be kept up: %s", error, extra={"unit": unit})
                continue
            if written is None:
                return  # another worker has taken it over
            version = written
