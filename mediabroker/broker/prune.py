"""Forgets jobs that ended long ago, here and at their providers, and messages that were quarantined long ago."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from mediabroker.broker.core import Core
from mediabroker.errors import MediaBrokerError
from mediabroker.models import Value
from mediabroker.spi import Member
from mediabroker.store import attempts, jobs, quarantine

__all__ = ["PruneReport", "prune"]

_log = logging.getLogger(__name__)

_BATCH = 500


class PruneReport(Value, frozen=True):
    """How much was removed."""

    jobs: int
    messages: int = 0
    """Quarantined messages that were last seen before then."""


def prune(core: Core, older_than: timedelta) -> PruneReport:
    """Remove what is older than `older_than`, jobs in batches, so that writers never wait long."""
    now = core.clock.now()
    keys_until = now - max(older_than, timedelta(days=core.settings.key_retention_days))
    removed = 0
    with core.store.write() as tx:
        messages = quarantine.remove_before(tx, now - older_than)
    while True:
        with core.store.read() as tx:
            ids = jobs.finished_before(tx, now - older_than, keys_until, _BATCH)
        if not ids:
            return PruneReport(jobs=removed, messages=messages)
        _forget(core, ids)
        with core.store.write() as tx:
            jobs.remove(tx, ids)
        removed += len(ids)


def _forget(core: Core, ids: Sequence[str]) -> None:
    by_provider: dict[str, list[Member]] = defaultdict(list)
    with core.store.read() as tx:
        for provider, member in attempts.members_of(tx, ids):
            by_provider[provider].append(member)
    for name, members in by_provider.items():
        try:
            core.converse(name, core.fleet.named(name).forget(members))
        except MediaBrokerError as error:
            # A provider that is gone must not keep the store from shrinking.
            _log.warning("a provider kept what was pruned: %s", error)
