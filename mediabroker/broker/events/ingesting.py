"""From a message to the jobs it speaks of: read it, find or adopt its jobs, write that down; all in one transaction.

A callback is a hint. It is kept in the inbox and tells which jobs to ask for; no word of it becomes a state. What
nobody can use goes back to its queue, and after `quarantine_after` deliveries into the quarantine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection

from mediabroker.broker.core import Core
from mediabroker.broker.events.adopting import Adoption, recover, store_adopted
from mediabroker.broker.following.passing import Pass
from mediabroker.callbacks.parse import Notice, parse_event
from mediabroker.callbacks.strict import PoisonError
from mediabroker.errors import (
    ConfigurationError,
    MediaBrokerError,
    MessageNotFoundError,
    ProviderError,
    StoreError,
)
from mediabroker.messages import InboundMessage
from mediabroker.models import Value
from mediabroker.spi import Observation, Provider
from mediabroker.store import attempts, quarantine
from mediabroker.store.events import record_observation

__all__ = ["Ingested", "ingest", "look", "replay"]

_log = logging.getLogger(__name__)

Said = tuple[str, Observation]
"""A provider instance's name, and what it has read."""


class Ingested(Value, frozen=True):
    """What became of a message.

    `taken`: it is written down, and its jobs are asked for. `quarantined`: nobody can use it; it is kept with the
    reason. Both may be deleted from their queue. `postponed`: it must be received again.
    """

    outcome: Literal["taken", "quarantined", "postponed"]
    jobs: tuple[str, ...] = ()
    reason: str | None = None
    quarantine_id: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the message may be deleted from its queue."""
        return self.outcome != "postponed"


@dataclass
class _Reading:
    """What could be found out about a message before the transaction."""

    said: list[Said] = field(default_factory=list)
    adoptions: list[Adoption] = field(default_factory=list)
    reason: str = ""
    is_passed_over: bool = False
    """A provider knows it as its own, and there is nothing to report of it."""
    trouble: ProviderError | ConfigurationError | None = None
    """What must be mended elsewhere before the message can be understood."""


def ingest(core: Core, messages: Sequence[InboundMessage]) -> list[Ingested]:
    """Take messages in, in one transaction; what became of each, in their order. A bad one hurts only itself.

    Raises:
        StoreError: nothing was taken in; receive them again.
    """
    readings = [_read(core, message) for message in messages]
    with core.store.write() as tx:
        return [
            _take(tx, core, reading) or _set_aside(tx, core, message, reading)
            for message, reading in zip(messages, readings, strict=True)
        ]


def look(core: Core, job_ids: Sequence[str]) -> None:
    """Query the jobs that callbacks name, in shared calls; what fails is left to the next pass."""
    if job_ids:
        Pass(core, sorted(set(job_ids)), is_patient=False).run()


def _read(core: Core, message: InboundMessage) -> _Reading:
    reading = _Reading()
    try:
        notice = parse_event(message.body, headers=message.attributes)
    except PoisonError as error:
        reading.reason = str(error)
        return reading
    for provider in _providers(core):
        try:
            said = provider.parse(notice.message)
            reading.said += [(provider.name, each) for each in said or ()]
            reading.is_passed_over |= said is not None and not said
        except Exception as error:
            # A provider's defect must not stop the queue; the message is kept for the release that mends it.
            # Its text may quote the message, so only its kind is logged.
            details = {"provider": provider.name, "error": type(error).__name__}
            _log.error("a provider failed to parse a message: %s", details, extra=details)
            reading.reason = f"{provider.name} could not parse it: {type(error).__name__}"
    reading.reason = reading.reason or _unknown(reading, notice)
    for name, observation in reading.said:
        if reading.trouble is None:
            _recover(core, name, observation, reading)
    return reading


def _providers(core: Core) -> Iterator[Provider]:
    for name in core.fleet:
        try:
            yield core.fleet.named(name)
        except ConfigurationError as error:
            _log.warning("a provider cannot read messages: %s", error, extra={"provider": name})


def _unknown(reading: _Reading, notice: Notice) -> str:
    if reading.said:
        return "its job is unknown here, and it bears no token of ours"
    return f"no configured provider knows this {' in '.join(reversed(notice.envelopes)) or 'raw'} message"


def _recover(core: Core, name: str, observation: Observation, reading: _Reading) -> None:
    """Find the job of an observation, if this store does not know it; whatever goes wrong is this message's alone."""
    try:
        adoption = _adoption(core, name, observation)
    except StoreError:
        raise  # ours, and the same for every message
    except (ProviderError, ConfigurationError) as error:
        _log.warning("the job of a message cannot be asked for: %s", error, extra={"provider": name})
        reading.trouble, reading.adoptions = error, []  # it comes again, as a whole
    except Exception as error:
        details = {"provider": name, "native_id": observation.native_id}
        _log.exception("a provider failed to find the job of a message: %s", details, extra=details)
        why = str(error) if isinstance(error, MediaBrokerError) else type(error).__name__
        reading.reason = f"{name} could not find its job: {why}"
    else:
        reading.adoptions += [adoption] if adoption is not None else []


def _adoption(core: Core, name: str, observation: Observation) -> Adoption | None:
    with core.store.read() as tx:
        known = _attempt(tx, name, observation)
    return recover(core, core.fleet.named(name), observation) if known is None else None


def _attempt(tx: Connection, provider: str, observation: Observation) -> tuple[str, int] | None:
    return attempts.find(tx, provider, token=observation.token, native_id=observation.native_id)


def _take(tx: Connection, core: Core, reading: _Reading) -> Ingested | None:
    """Write down what a message says of our jobs; None when it speaks of none."""
    for adoption in reading.adoptions:
        store_adopted(tx, core, adoption)
    found = [(_attempt(tx, name, observation), observation) for name, observation in reading.said]
    ours = [(attempt, observation) for attempt, observation in found if attempt is not None]
    for attempt, observation in ours:
        record_observation(tx, attempt, observation, "hint", core.clock.now())
    jobs = tuple(dict.fromkeys(attempt[0] for attempt, _ in ours))
    is_done = bool(jobs) or (reading.is_passed_over and not reading.said)
    return Ingested(outcome="taken", jobs=jobs) if is_done else None


def _set_aside(tx: Connection, core: Core, message: InboundMessage, reading: _Reading) -> Ingested:
    """Back to its queue for now; or into the quarantine, at once if no queue would bring the message again."""
    if reading.trouble is not None and message.receipt:
        return Ingested(outcome="postponed", reason=str(reading.trouble))
    reason = str(reading.trouble or reading.reason)
    details = {"source": message.source, "message_id": message.id, "reason": reason}
    if message.receipt and message.receive_count < core.settings.quarantine_after:
        _log.info("a message that nobody can use goes back to its queue: %s", details, extra=details)
        return Ingested(outcome="postponed", reason=reason)
    _log.warning("a message is quarantined: %s", details, extra=details)
    kept = quarantine.keep(tx, message, reason, core.clock.now())
    return Ingested(outcome="quarantined", reason=reason, quarantine_id=kept)


def replay(core: Core, quarantine_id: str) -> Ingested:
    """Take a quarantined message in again; it leaves the quarantine when it is taken.

    Raises:
        MessageNotFoundError: nothing of that id is quarantined.
        ProviderError, ConfigurationError: its provider cannot be asked; the message stays.
    """
    with core.store.read() as tx:
        kept = quarantine.by_id(tx, quarantine_id)
    if kept is None:
        raise MessageNotFoundError(f"nothing with the id {quarantine_id!r} is in the quarantine")
    reading = _read(core, kept.message)
    if reading.trouble is not None:
        raise reading.trouble
    with core.store.write() as tx:
        taken = _take(tx, core, reading)
        if taken is None:
            return Ingested(outcome="quarantined", reason=reading.reason, quarantine_id=quarantine_id)
        quarantine.remove(tx, quarantine_id)
    look(core, taken.jobs)
    return taken
