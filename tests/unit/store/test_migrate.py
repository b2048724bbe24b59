"""A store of an older release opens: everything in it is there, and it can do what it could not before."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, select

from mediabroker import Broker, JobState
from mediabroker.absent import Absent
from mediabroker.config import BrokerSettings
from mediabroker.objects import ObjectStat
from mediabroker.storage.file import FileStore
from mediabroker.store import attempts, migrate, open_store
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


def test_why_a_member_has_no_vendor_job_is_moved_out_of_its_native_id(path: Path) -> None:
    since = datetime(2026, 1, 1, tzinfo=timezone.utc)
    absences = {
        f"missing:snapshot:3:{int(since.timestamp())}:mb1-t": Absent(reason="not_found", token="mb1-t", since=since),
        "missing:transcode:0:0:mb1-t": Absent(reason="not_found", token="mb1-t"),
        "rejected:1_360p:InvalidParameter.X": Absent(reason="rejected", code="InvalidParameter.X"),
        "not-mp4:s3://b/a%0A.txt": Absent(reason="rejected", code="not-mp4", source="s3://b/a%0A.txt"),
        "no-name:s3://b/..": Absent(reason="rejected", code="no-name", source="s3://b/.."),
        "missing-a-form": None,
    }
    with closing(sqlite3.connect(path)) as connection:
        (job,) = connection.execute("SELECT job_id FROM members LIMIT 1").fetchone()
        for position, native_id in enumerate(absences, start=10):
            row = (job, 1, position, "r", native_id, True, "QUEUED", 1, 0, 0)
            columns = "job_id, attempt, position, role, native_id, required, state, rank, vendor_attempt, sub_rank"
            connection.execute(f"INSERT INTO members ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        connection.commit()
    with closing(open_store(f"sqlite:///{path}")) as store, store.read() as tx:
        loaded = attempts.load_one(tx, job)
        assert loaded is not None
        stored = {each.status.member.native_id: each.status.member.absent for each in loaded.members}
        assert {each: stored[each] for each in absences} == absences
        submitted = {member.native_id for _, member in attempts.members_of(tx, [job])}
        assert submitted & set(absences) == {"missing-a-form"}


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


def test_a_store_of_the_release_before_the_one_engine_opens_and_finishes_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by version 4's own code: one job runs, one waits, one lost its process while its second call was out."""
    path, folder = tmp_path / "jobs.db", tmp_path / "vendor"
    connection = sqlite3.connect(path)
    connection.executescript((GOLDEN / "version-4.sql").read_text())
    connection.close()
    vendor = LedgerProvider("ledger", {"folder": folder})
    shutil.copy(GOLDEN / "version-4-vendor.jsonl", folder / "ledger.jsonl")
    for accepted in vendor.ledger.accepted():
        vendor.ledger.say(accepted["id"], "done")
    # The outputs lay on the machine of that release.
    monkeypatch.setattr(FileStore, "stat", lambda self, uri: ObjectStat(1, "1"))
    with Broker(BrokerSettings(store=f"sqlite:///{path}"), providers={"ledger": vendor}) as broker:
        jobs = [broker.get(key=f"order-{name}") for name in ("running", "killed", "waiting")]
        for job in jobs:
            job.result(timeout=60)
        assert [job.user_data for job in jobs] == [{"asset": name} for name in ("running", "killed", "waiting")]
        assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 3
    assert len(vendor.ledger.accepted()) == 6, "nothing was started twice"
