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


def test_what_may_not_be_deleted_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Stores().of(MediaURI(tmp_path)).delete(MediaURI(tmp_path))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
