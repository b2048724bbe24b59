"""The store: what is acknowledged stays, what is refused leaves nothing, and every trouble has a type."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select

from mediabroker import Broker, ConfigurationError, MediaInfo, StoreError
from mediabroker.clock import SystemClock
from mediabroker.errors import StoreBusyError
from mediabroker.store import Store, jobs, open_store
from mediabroker.store.schema import SCHEMA_VERSION
from mediabroker.store.schema import jobs as jobs_table


def _add(store: Store, job_id: str) -> None:
    with store.write() as tx:
        jobs.insert_job(tx, job_id, kind="media_info", spec=MediaInfo(input="a.mp4"), now=SystemClock().now())


def _ids(store: Store) -> list[str]:
    with store.read() as tx:
        return list(tx.execute(select(jobs_table.c.id)).scalars())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'jobs.db'}"


def test_store_opens_in_wal_mode_with_full_flushes(url: str) -> None:
    with open_store(url).read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_failed_transaction_leaves_nothing(url: str) -> None:
    store = open_store(url)

    def add_and_fail() -> None:
        with store.write() as tx:
            jobs.insert_job(tx, "a", kind="x", spec=None, now=SystemClock().now())
            raise LookupError

    with pytest.raises(LookupError):
        add_and_fail()
    assert _ids(store) == []


def test_D1_held_write_lock_is_store_busy_after_the_configured_wait(url: str) -> None:
    store = open_store(url, busy_timeout_s=0.05)
    other = open_store(url)
    with other.write(), pytest.raises(StoreBusyError, match="write lock"):
        _add(store, "a")
    _add(store, "a")
    assert _ids(store) == ["a"]


def test_D2_readers_do_not_wait_for_a_writer(url: str) -> None:
    store = open_store(url, busy_timeout_s=0.05)
    with open_store(url).write():
        assert _ids(store) == []


def test_writers_of_two_threads_take_turns(url: str) -> None:
    store = open_store(url)
    threads = [Thread(target=_add, args=(store, f"job-{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_ids(store)) == 8


def test_D3_full_disk_is_a_store_error_and_what_was_acknowledged_stays(tmp_path: Path, url: str) -> None:
    _add(open_store(url), "kept")
    code = "import resource, sys\nfrom tests.unit.store.test_store import fill\nfill(sys.argv[1])\n"
    child = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, check=False)
    assert child.stdout.strip() == "StoreError", child.stderr
    assert "kept" in _ids(open_store(url))
    assert sqlite3.connect(url.removeprefix("sqlite:///")).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def fill(url: str) -> None:
    """Runs in a child: write until the file-size limit stops it, then once more below the limit's reach."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        for number in range(1000):
            _add(store, f"job-{number:04d}" + "x" * 50)
    except StoreError as error:
        print(type(error).__name__)  # noqa: T201  the parent reads it


def test_D9_damaged_file_is_a_store_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"this is no database" * 100


def test_D10_store_of_a_newer_release_is_refused(url: str) -> None:
    store = open_store(url)
    with store.write() as tx:
        tx.exec_driver_sql("UPDATE schema_info SET version = ?", (SCHEMA_VERSION + 1,))
    with pytest.raises(StoreError, match="upgrade"):
        open_store(url)


def test_D10_two_processes_that_create_the_store_at_once_agree(url: str) -> None:
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


def test_D8_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'sub' / 'jobs.db'}")


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:secret@h/db", "sqlite://", "sqlite:///:memory:"])
def test_unusable_store_url_is_a_configuration_error_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_S20_forked_child_opens_its_own_connection(url: str) -> None:
    store = open_store(url)
    _add(store, "parent")
    child = os.fork()
    if child == 0:
        try:
            _add(store, "child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    _add(store, "later")
    assert sorted(_ids(store)) == ["child", "later", "parent"]


def test_broker_without_arguments_keeps_its_store_in_the_users_data_folder() -> None:
    with Broker() as broker:
        assert Path(os.environ["MEDIABROKER_DATA_DIR"], "jobs.db").exists()
        assert list(broker.providers) == ["local"]
