"""`file://` objects: removed without a word, whether they are there or not."""

from __future__ import annotations

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


def test_what_may_not_be_deleted_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Stores().of(MediaURI(tmp_path)).delete(MediaURI(tmp_path))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
