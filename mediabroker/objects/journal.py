"""A `Journal` in an object store: an append-only log of numbered records, each of which one process can write.

A process that is about to send a `create` appends at the end of the log as it has read it. If another process has
appended meanwhile, the record is there already, and the first process stops: so no two processes send the same call.
What became of a call that was sent is appended wherever the log ends by then, because such knowledge must not be lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

from mediabroker.errors import ProviderError
from mediabroker.flows.calls import Call
from mediabroker.flows.engine import HoldError, StopRequestedError
from mediabroker.flows.journal import Entry
from mediabroker.objects.records import Records

__all__ = ["ObjectJournal"]

_BUSY_S = 2.0
"""When to try again while another process submits, in seconds."""
_TROUBLE_S = 5.0
_TIMES = ("sent_at", "searched_at")


class ObjectJournal:
    """The journal of one attempt.

    Args:
        records: of this attempt alone.
        is_new: nothing was written yet, so that nothing need be read.
        is_stopped: whether the job is to be stopped.
        before_first: called before the first record is written; it may raise, and then nothing is written.
    """

    def __init__(
        self,
        records: Records,
        *,
        is_stopped: Callable[[], bool],
        before_first: Callable[[], None] = lambda: None,
        is_new: bool = False,
    ) -> None:
        self._records, self._is_stopped, self._before_first = records, is_stopped, before_first
        self._entries: dict[int, Entry] = {}
        self._waiting: list[Entry] = []
        """Replies to reads, which are written with the next `create`."""
        self._length = 0
        if not is_new:
            self._catch_up()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet: no `create` was sent."""
        return self._length == 0

    def recall(self, ordinal: int, call: Call[Any]) -> Entry | None:  # noqa: ARG002  the place says it all
        """See `Journal.recall`."""
        return self._entries.get(ordinal)

    def begin(self, entry: Entry) -> None:
        """See `Journal.begin`."""
        if entry.effect != "create":
            self._entries[entry.ordinal] = entry
            return
        self.check_stop()
        with _held():
            if self.is_empty:
                self._before_first()
            is_first = self._append([*self._waiting, entry])
        if not is_first:
            raise HoldError(f"{entry.step} is being submitted by another process", retry_after_s=_BUSY_S)

    def check_stop(self) -> None:
        """See `Journal.check_stop`."""
        with _held():
            is_stopped = self._is_stopped()
        if is_stopped:
            raise StopRequestedError("it was cancelled before this step")

    def record(self, entry: Entry) -> None:
        """See `Journal.record`."""
        if entry.effect != "create":
            self._entries[entry.ordinal] = entry
            self._waiting.append(entry)
            return
        with _held():
            while not self._append([*self._waiting, entry]):
                self._catch_up()

    def entries(self) -> list[Entry]:
        """See `Journal.entries`."""
        return [self._entries[each] for each in sorted(self._entries)]

    def _append(self, entries: list[Entry]) -> bool:
        if not self._records.add(_name(self._length), {"entries": [_dump(each) for each in entries]}):
            return False
        self._length += 1
        self._waiting.clear()
        self._entries.update({each.ordinal: each for each in entries})
        return True

    def _catch_up(self) -> None:
        """Read what other processes have appended. What was accepted stays accepted."""
        for number in itertools.count(self._length):
            record = self._records.read(_name(number), dict[str, Any])
            if record is None:
                return
            self._length = number + 1
            for each in map(_load, record["entries"]):
                known = self._entries.get(each.ordinal)
                if known is None or known.status != "accepted":
                    self._entries[each.ordinal] = each


@contextmanager
def _held() -> Iterator[None]:
    """Turn trouble with the store into a hold: the flow would take it for a refusal, and end what it has started."""
    try:
        yield
    except ProviderError as error:
        after_s = error.retry_after_s or _TROUBLE_S
        raise HoldError(f"the journal cannot be read or written now: {error}", retry_after_s=after_s) from error


def _name(number: int) -> str:
    return f"{number:04d}.json"


def _dump(entry: Entry) -> dict[str, Any]:
    values = {each.name: getattr(entry, each.name) for each in fields(entry) if each.init}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _load(values: dict[str, Any]) -> Entry:
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if values[name] is not None}
    return Entry(**{**values, **times})
