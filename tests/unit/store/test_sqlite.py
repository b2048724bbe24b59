"""What is SQLite's own: how the file is opened, a full disk, a damaged file, a folder that is not there."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker import ConfigurationError, StoreError
from mediabroker.store import open_store
from tests.unit.store.looking import add, ids


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'jobs.db'}"


def test_store_opens_in_wal_mode_with_full_flushes(url: str) -> None:
    with open_store(url).read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_D3_full_disk_is_a_store_error_and_what_was_acknowledged_stays(tmp_path: Path, url: str) -> None:
    add(open_store(url), "kept")
    code = "import resource, sys\nfrom tests.unit.store.test_sqlite import fill\nfill(sys.argv[1])\n"
    child = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, check=False)
    assert child.stdout.strip() == "StoreError", child.stderr
    assert "kept" in ids(open_store(url))
    assert sqlite3.connect(url.removeprefix("sqlite:///")).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def fill(url: str) -> None:
    """Runs in a child: write until the file-size limit stops it, then once more below the limit's reach."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        for number in range(1000):
            add(store, f"job-{number:04d}" + "x" * 50)
    except StoreError as error:
        print(type(error).__name__)  # noqa: T201  the parent reads it


def test_D9_damaged_file_is_a_store_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"this is no database" * 100


def test_D8_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'sub' / 'jobs.db'}")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///sub/jobs.db", "sub/jobs.db"),
        ("sqlite://sub/jobs.db", "sub/jobs.db"),
    ],
)
def test_a_relative_store_is_refused_with_the_absolute_one_and_nothing_is_made(
    url: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    right = str(caught.value).split()[-1]
    assert right == f"sqlite:///{tmp_path}/{meant}"
    assert list(tmp_path.iterdir()) == []
    open_store(right).close()
    assert (tmp_path / meant).exists()


def test_the_files_of_a_store_are_its_owners_alone_and_an_older_open_one_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "jobs.db"
    with closing(open_store(f"sqlite:///{path}")) as store:
        add(store, "a")
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        assert {"jobs.db", "jobs.db-wal"} <= modes.keys()
        assert set(modes.values()) == {0o600}
    path.chmod(0o644)
    with closing(open_store(f"sqlite:///{path}")):
        assert path.stat().st_mode & 0o007 == 0
