"""Forgets jobs that ended long ago: their rows here, and what their providers keep."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from mediabroker.broker.core import Core
from mediabroker.errors import MediaBrokerError
from mediabroker.models import Value
from mediabroker.spi import Member
from mediabroker.store import attempts, jobs

__all__ = ["PruneReport", "prune"]

_log = logging.getLogger(__name__)

_BATCH = 500


class PruneReport(Value, frozen=True):
    """How much was removed."""

    jobs: int


def prune(core: Core, older_than: timedelta) -> PruneReport:
    """Remove ended jobs older than `older_than` in batches, so that writers never wait long."""
    now = core.clock.now()
    keys_until = now - max(older_than, timedelta(days=core.settings.key_retention_days))
    removed = 0
    while True:
        with core.store.read() as tx:
            ids = jobs.finished_before(tx, now - older_than, keys_until, _BATCH)
        if not ids:
            return PruneReport(jobs=removed)
        _forget(core, ids)
        with core.store.write() as tx:
            jobs.remove(tx, ids)
        removed += len(ids)


def _forget(core: Core, ids: Sequence[str]) -> None:
    by_provider: dict[str, list[Member]] = defaultdict(list)
    with core.store.read() as tx:
        for job_id in ids:
            job = jobs.by_id(tx, job_id)
            for attempt in attempts.all_of(tx, job_id):
                known = attempts.members_of(tx, attempt, job.kind) if job else []
                by_provider[attempt.provider] += [each.status.member for each in known]
    for name, members in by_provider.items():
        try:
            core.converse(name, core.fleet.named(name).forget(members))
        except MediaBrokerError as error:
            # A provider that is gone must not keep the store from shrinking.
            _log.warning("a provider kept what was pruned: %s", error)
