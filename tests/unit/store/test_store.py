"""The store on each database: what is acknowledged stays, what is refused leaves nothing, every trouble has a type."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text

from mediabroker import Broker, ConfigurationError, MediaInfo, StoreError
from mediabroker.clock import SystemClock
from mediabroker.errors import StoreBusyError
from mediabroker.store import Store, jobs, open_store
from mediabroker.store.records import JobRecord
from mediabroker.store.schema import SCHEMA_VERSION
from tests.unit.store.looking import add, ids

OpenStore = Callable[..., Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'folder' / 'jobs.db'}"
    made: str = request.getfixturevalue("postgresql").new_database()
    return made


@pytest.fixture
def opened(url: str) -> Iterator[OpenStore]:
    """Opens the same store, as another process would."""
    stores: list[Store] = []

    def open_it(**options: Any) -> Store:
        stores.append(open_store(url, **options))
        return stores[-1]

    yield open_it
    for each in stores:
        each.close()


def in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_is_committed_is_there_and_what_failed_left_nothing(opened: OpenStore) -> None:
    store = opened()
    add(store, "kept")
    with pytest.raises(LookupError), store.write() as tx:
        jobs.update_job(tx, "kept", {"phase": "changed"})
        jobs.insert_job(tx, JobRecord("new", "x", None, SystemClock().now()))
        raise LookupError
    assert ids(store) == ["kept"]
    with opened().read() as tx:
        record = jobs.by_id(tx, "kept")
    assert record is not None
    assert (record.phase, record.spec) == (None, MediaInfo(input="/a.mp4"))
    assert record.created_at.tzinfo is not None


@pytest.mark.parametrize(
    "stored",
    [
        {"spec": {"kind": "transcode", "input": "/a.mp4", "output": "/a.wmv"}, "kind": "transcode"},
        {"kind": "of_another_process", "result": {"outputs": [], "pages": 3}},
    ],
    ids=["refused today", "kind of another process"],
)
def test_job_that_this_process_cannot_express_is_listed_beside_the_others(
    stored: dict[str, Any], opened: OpenStore
) -> None:
    store = opened()
    add(store, "odd")
    add(store, "usual")
    with store.write() as tx:
        jobs.update_job(tx, "odd", stored)
    with store.read() as tx:
        found = {record.id: record.spec for record in jobs.search(tx)}
    assert found == {"odd": None, "usual": MediaInfo(input="/a.mp4")}


def test_D1_held_write_lock_is_store_busy_after_the_configured_wait(opened: OpenStore) -> None:
    impatient, other = opened(busy_timeout_s=0.05), opened()
    with other.write(), pytest.raises(StoreBusyError, match="write lock"):
        add(impatient, "a")
    add(impatient, "a")
    assert ids(other) == ["a"]


def test_D2_readers_see_a_snapshot_and_wait_for_no_writer(opened: OpenStore) -> None:
    store, other = opened(busy_timeout_s=0.05), opened()
    with store.read() as tx:
        assert jobs.by_id(tx, "a") is None
        add(other, "a")
        assert jobs.by_id(tx, "a") is None
    with other.write():
        assert ids(store) == ["a"]


def test_writers_take_turns_so_that_nothing_changes_between_reading_and_writing(opened: OpenStore) -> None:
    stores = [opened() for _ in range(3)]
    add(stores[0], "counted")

    def count(number: int) -> None:
        for _ in range(10):
            with stores[number % 3].write() as tx:
                known = jobs.by_id(tx, "counted")
                assert known is not None
                jobs.update_job(tx, "counted", {"sequence": known.sequence + 1})

    in_threads(count, 9)
    with stores[0].read() as tx:
        record = jobs.by_id(tx, "counted")
    assert record is not None
    assert record.sequence == 90


def test_D10_store_of_a_newer_release_is_refused(url: str, opened: OpenStore) -> None:
    with opened().write() as tx:
        tx.execute(text("UPDATE schema_info SET version = :newer"), {"newer": SCHEMA_VERSION + 1})
    with pytest.raises(StoreError, match="upgrade"):
        open_store(url)


def test_D10_many_that_create_the_store_at_once_agree(url: str) -> None:
    begin, errors = Barrier(6), list[BaseException]()

    def create(_: int) -> None:
        begin.wait()
        try:
            open_store(url).close()
        except BaseException as error:
            errors.append(error)

    in_threads(create, 6)
    assert errors == []


def test_S20_forked_child_opens_its_own_connection(opened: OpenStore) -> None:
    store = opened()
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


def test_a_vendors_words_are_kept_however_long_and_whatever_is_in_them(opened: OpenStore) -> None:
    store = opened()
    add(store, "a")
    with store.write() as tx:
        changed = {"phase": "long " * 1000, "hold_reason": "zero \0 inside", "user_data": {"raw": "\0"}}
        jobs.update_job(tx, "a", changed)
    with store.read() as tx:
        record = jobs.by_id(tx, "a")
    assert record is not None
    assert (record.phase, record.hold_reason) == ("long " * 1000, "zero \ufffd inside")
    assert record.user_data == {"raw": "\0"}


@pytest.mark.parametrize("bad", ["nonsense", "mysql://u:secret@h/db", "sqlite://", "sqlite:///:memory:"])
def test_unusable_store_url_is_a_configuration_error_without_its_password(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(bad)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:/u:s3cret@h/db", "'postgresql' cannot be read; use sqlite:////absolute/path/jobs.db or postgres"),
        ("postgresql://u:s3cret@h:notaport/db", "'postgresql' cannot be read"),
        ("postgresql://h:s3cret/db", "'postgresql' cannot be read"),
        ("u:s3cret@h/db", "the URL cannot be read"),
        ("postgresql://u:some@s3cret@h/db", "'postgresql' holds an @ in .* write it as %40"),
        ("postgresql://u:some@thing/s3cret@h/db", "write it as %40"),
        ("mysql://s3cret:s3cret@h:3306/db?password=s3cret", "'mysql://h:3306/db' cannot be opened"),
        ("sqlite:///:memory:?password=s3cret", "'sqlite:///:memory:' names no file"),
    ],
)
def test_a_refused_store_url_shows_no_part_of_its_password_in_any_traceback(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_store(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_broker_without_arguments_keeps_its_store_in_the_users_data_folder() -> None:
    with Broker() as broker:
        assert Path(os.environ["MEDIABROKER_DATA_DIR"], "jobs.db").exists()
        assert list(broker.providers) == ["local"]
