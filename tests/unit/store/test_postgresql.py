"""The store on PostgreSQL keeps the promises that it keeps on SQLite, for processes of several machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from sqlalchemy import select

from mediabroker import MediaInfo, StoreError
from mediabroker.clock import SystemClock
from mediabroker.errors import MissingDependencyError, StoreBusyError
from mediabroker.store import Store, jobs, open_store
from mediabroker.store.schema import SCHEMA_VERSION
from mediabroker.store.schema import jobs as jobs_table
from tests.postgresql import PostgresqlServer


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


def add(store: Store, job_id: str) -> None:
    with store.write() as tx:
        jobs.insert_job(tx, job_id, kind="media_info", spec=MediaInfo(input="/a.mp4"), now=SystemClock().now())


def ids(store: Store) -> list[str]:
    with store.read() as tx:
        return sorted(tx.execute(select(jobs_table.c.id)).scalars())


def test_what_is_committed_is_there_and_what_failed_left_nothing(store: Store) -> None:
    add(store, "kept")
    with pytest.raises(LookupError), store.write() as tx:
        jobs.update_job(tx, "kept", phase="changed")
        raise LookupError
    with store.read() as tx:
        record = jobs.by_id(tx, "kept")
    assert record is not None
    assert (record.phase, record.spec) == (None, MediaInfo(input="/a.mp4"))
    assert record.created_at.tzinfo is not None


def test_writers_take_turns_so_that_nothing_changes_between_reading_and_writing(url: str, store: Store) -> None:
    add(store, "counted")
    stores = [store, open_store(url), open_store(url)]

    def count(mine: Store) -> None:
        for _ in range(10):
            with mine.write() as tx:
                known = jobs.by_id(tx, "counted")
                assert known is not None
                jobs.update_job(tx, "counted", sequence=known.sequence + 1)

    threads = [Thread(target=count, args=(each,)) for each in stores for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        record = jobs.by_id(tx, "counted")
    assert record is not None
    assert record.sequence == 90
    for each in stores[1:]:
        each.close()


def test_D1_held_write_lock_is_store_busy_after_the_configured_wait(url: str, store: Store) -> None:
    impatient = open_store(url, busy_timeout_s=0.05)
    with store.write(), pytest.raises(StoreBusyError, match="write lock"):
        add(impatient, "a")
    add(impatient, "a")
    assert ids(store) == ["a"]
    impatient.close()


def test_D2_readers_see_a_snapshot_and_wait_for_no_writer(url: str, store: Store) -> None:
    other = open_store(url)
    with store.read() as tx:
        assert jobs.by_id(tx, "a") is None
        add(other, "a")
        assert jobs.by_id(tx, "a") is None
    with other.write():
        assert ids(store) == ["a"]
    other.close()


def test_P1_a_commit_is_flushed_also_where_the_server_would_not(url: str, store: Store) -> None:
    with store.write() as tx:
        tx.exec_driver_sql("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    fresh = open_store(url)
    with fresh.read() as tx:
        assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == "off"
    with fresh.write() as tx:
        assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        tx.exec_driver_sql("ALTER ROLE CURRENT_USER RESET synchronous_commit")
    fresh.close()


def test_a_vendors_words_are_kept_however_long_and_whatever_is_in_them(store: Store) -> None:
    add(store, "a")
    with store.write() as tx:
        jobs.update_job(tx, "a", phase="long " * 1000, hold_reason="zero \0 inside", error={"raw": "\0"})
    with store.read() as tx:
        row = tx.execute(select(jobs_table)).one()
    assert (len(row.phase), row.hold_reason, row.error) == (5000, "zero \ufffd inside", {"raw": "\0"})


def test_D10_many_that_create_the_store_at_once_agree(url: str) -> None:
    begin, errors = Event(), list[BaseException]()

    def create() -> None:
        begin.wait()
        try:
            open_store(url).close()
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    begin.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_D10_store_of_a_newer_release_is_refused(url: str, store: Store) -> None:
    with store.write() as tx:
        tx.exec_driver_sql(f"UPDATE schema_info SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="upgrade"):
        open_store(url)


def test_a_server_that_died_is_a_store_error_and_the_store_goes_on_when_it_is_back(
    postgresql: PostgresqlServer, store: Store
) -> None:
    add(store, "before")
    postgresql.kill()
    with pytest.raises(StoreError) as caught:
        add(store, "meanwhile")
    postgresql.start()
    add(store, "after")
    assert ids(store) == ["after", "before"]
    assert "canary" not in f"{caught.value!r} {store.url}"


def test_S20_forked_child_opens_its_own_connection(store: Store) -> None:
    add(store, "parent")
    child = os.fork()
    if child == 0:
        try:
            add(store, "child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    add(store, "later")
    assert ids(store) == ["child", "later", "parent"]


def test_a_missing_driver_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mediabroker\[postgres\]'"):
        open_store("postgresql://user@host/jobs")
