"""`file://` objects: removed without a word, whether they are there or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores


def test_what_is_deleted_is_gone_and_deleting_again_is_no_error(tmp_path: Path) -> None:
    uri = MediaURI(tmp_path / "a.mp4")
    store = Stores().of(uri)
    store.write(uri, iter([b"1"]))
    for _ in range(2):
        store.delete(uri)
        assert store.stat(uri) is None
    store.write(uri, iter([b"2"]))
    store.delete(MediaURI(tmp_path / "a.mp4" / "below"))
    assert store.stat(uri) is not None


def test_a_folder_is_listed_to_its_depths_and_cleared_for_good(tmp_path: Path) -> None:
    stores, folder = Stores(), MediaURI(f"{tmp_path}/token/")
    (tmp_path / "token" / "out" / "720p").mkdir(parents=True)
    inside = {MediaURI(tmp_path / "token" / "in"), MediaURI(tmp_path / "token" / "out" / "720p" / "seg 1.ts")}
    beside = MediaURI(tmp_path / "token-other")
    for uri in (*inside, beside):
        stores.of(uri).write(uri, iter([b"x"]))
    assert set(stores.of(folder).list(folder)) == inside
    for _ in range(2):
        stores.clear(folder)
        assert list(stores.of(folder).list(folder)) == []
    assert not folder.path.exists()
    assert stores.of(beside).stat(beside) is not None


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    store, uri = Stores().of(MediaURI(tmp_path)), MediaURI(tmp_path / "a [1].mp4")
    (tmp_path / ".a [1].mp4.killed.part").write_bytes(b"half")
    (tmp_path / ".a 1.mp4.other.part").write_bytes(b"half")
    seen: list[list[str]] = []

    def chunks() -> Iterator[bytes]:
        yield b"1"
        store.write(uri, iter([b"2"]), overwrite=True)  # another writer, while this one is at it
        seen.append(sorted(path.suffix for path in tmp_path.iterdir()))
        yield b"3"

    store.write(uri, chunks(), overwrite=True)
    assert seen == [[".mp4", ".part", ".part"]]
    assert uri.path.read_bytes() == b"13"
    assert [path.name for path in tmp_path.glob(".*")] == [".a 1.mp4.other.part"]


def test_what_may_not_be_deleted_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Stores().of(MediaURI(tmp_path)).delete(MediaURI(tmp_path))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
