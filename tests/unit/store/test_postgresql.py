"""What is PostgreSQL's own: flushed commits, a server that goes away, a driver that is missing."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator

import pytest

from mediabroker import StoreError
from mediabroker.errors import MissingDependencyError
from mediabroker.store import Store, open_store
from tests.postgresql import PostgresqlServer
from tests.unit.store.looking import add, ids


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


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


@pytest.mark.parametrize("where", ["user:s3cret@host:5432/jobs?", "user@host:5432/jobs?password=s3cret&"])
def test_a_password_is_in_no_message_wherever_it_stands_and_whoever_repeats_it(where: str) -> None:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed")
    url = f"postgresql://{where}connect_timeout=s3cret"  # the driver repeats what is wrong
    with pytest.raises(StoreError, match=r"postgresql://host:5432/jobs: bad value .*\*\*\*") as caught:
        open_store(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_driver_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mediabroker\[postgres\]'"):
        open_store("postgresql://user@host/jobs")
