"""A store of an older release opens: everything in it is there, and it can do what it could not before."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, select

from mediabroker import Broker, JobState
from mediabroker.config import BrokerSettings
from mediabroker.store import migrate, open_store
from mediabroker.store.schema import SCHEMA_VERSION, metadata, schema_info
from tests.ledger import LedgerProvider

GOLDEN = Path(__file__).parents[2] / "golden" / "store"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    connection = sqlite3.connect(path)
    connection.executescript((GOLDEN / "version-1.sql").read_text())
    connection.close()
    return path


def _shape(tx: Connection) -> dict[str, list[str]]:
    found = MetaData()
    found.reflect(tx)
    return {table.name: sorted(column.name for column in table.columns) for table in found.sorted_tables}


def test_P17_a_migrated_store_has_the_tables_of_a_new_one(path: Path) -> None:
    wanted = {table.name: sorted(column.name for column in table.columns) for table in metadata.sorted_tables}
    with open_store(f"sqlite:///{path}").read() as tx:
        assert _shape(tx) == wanted
        assert tx.execute(select(schema_info.c.version)).scalar_one() == SCHEMA_VERSION


def test_P17_jobs_keys_and_events_of_an_older_release_are_still_there(path: Path, tmp_path: Path) -> None:
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor"})
    with Broker(BrokerSettings(store=f"sqlite:///{path}"), providers={"ledger": vendor}) as broker:
        live, ended = broker.list()
        assert (live.state, ended.state, ended.user_data) == (JobState.QUEUED, JobState.FAILED, {"asset": 42})
        with broker.events(idle_timeout=0.2) as stream:
            assert [event.type for event in stream] == ["job_queued", "job_failed", "job_queued"]


def test_a_store_has_a_key_of_its_own_for_tokens_and_keeps_it(path: Path, tmp_path: Path) -> None:
    urls = [f"sqlite:///{path}", f"sqlite:///{tmp_path / 'new.db'}"]
    stores = [open_store(url) for url in urls]
    keys = [store.token_key for store in stores]
    again = [open_store(url) for url in urls]
    assert [store.token_key for store in again] == keys
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]
    for store in (*stores, *again):
        store.close()


def test_D10_a_migration_that_fails_half_way_leaves_the_old_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = migrate._STEPS[1]

    def fail(tx: Connection) -> None:
        step(tx)
        raise LookupError("killed here")

    monkeypatch.setitem(migrate._STEPS, 1, fail)  # type: ignore[arg-type]  # read-only to the program, not to a test
    with pytest.raises(LookupError):
        open_store(f"sqlite:///{path}")
    assert sqlite3.connect(path).execute("SELECT version FROM schema_info").fetchone() == (1,)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE name = 'quarantine'").fetchone() is None
    monkeypatch.setitem(migrate._STEPS, 1, step)  # type: ignore[arg-type]  # as above
    open_store(f"sqlite:///{path}").close()
