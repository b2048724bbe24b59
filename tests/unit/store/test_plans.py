"""No query of a growing table reads all of it: SQLite's own plan says which index each goes by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from mediabroker import JobState
from mediabroker.store import Store, attempts, deliveries, events, jobs, open_store

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
GROWING = re.compile(r"SCAN (jobs|attempts|members|calls|inbox|outbox|deliveries|labels)(?! USING)")

QUERIES: dict[str, Callable[[Connection], object]] = {
    "list": lambda tx: list(jobs.search(tx, limit=10)),
    "list by state": lambda tx: list(jobs.search(tx, state=JobState.FAILED, limit=10)),
    "list by kind": lambda tx: list(jobs.search(tx, kind="transcode", limit=10)),
    "list by provider": lambda tx: list(jobs.search(tx, provider="cloud", limit=10)),
    "list by label": lambda tx: list(jobs.search(tx, label=("show", "pilot"), limit=10)),
    "prune": lambda tx: jobs.finished_before(tx, NOW, NOW, 100),
    "remove": lambda tx: jobs.remove(tx, ["a"]),
    "soonest lease": attempts.soonest_lease_end,
    "uncleared": attempts.uncleared,
    "load all that live": attempts.load,
    "hints": lambda tx: events.hinted_ids(tx, ("a", 1)),
    "claim": lambda tx: deliveries.claim(tx, "default", "owner", now=NOW, until=NOW),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield store
    store.close()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_goes_by_an_index(store: Store, name: str) -> None:
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    with store.write() as tx:
        event.listen(tx, "before_cursor_execute", note)
        QUERIES[name](tx)
        event.remove(tx, "before_cursor_execute", note)
        planned = [
            line[3] for each in sent for line in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {each[0]}", each[1]).all()
        ]
    assert planned
    assert [line for line in planned if GROWING.search(line)] == []
