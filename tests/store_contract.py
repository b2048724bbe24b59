"""What every object store promises, as tests: a class to inherit from, with one fixture to give.

class TestMyStore(StoreContract):
    @pytest.fixture
    def place(self) -> Iterator[StorePlace]: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mediabroker.errors import ErrorCode, MediaError, UnsupportedError
from mediabroker.objects import ObjectStore
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores

__all__ = ["MIB", "StoreContract", "StorePlace", "read"]

MIB = 1 << 20


@dataclass(frozen=True)
class StorePlace:
    """An empty bucket of one store, seen through the store and past it.

    Attributes:
        make: a store with the settings of the place, and more.
        settings: those of the place.
        uri: of a key in the bucket.
        elsewhere: of a key in a bucket that does not exist.
        keys: of all objects that are there.
        uploads: keys of all unfinished uploads.
        begin_upload: begin one and leave it.
    """

    make: Callable[..., ObjectStore]
    settings: dict[str, Any]
    uri: Callable[[str], MediaURI]
    elsewhere: MediaURI
    keys: Callable[[], list[str]]
    uploads: Callable[[], list[str]]
    begin_upload: Callable[[str], None]


def read(store: ObjectStore, where: MediaURI, start: int = 0) -> bytes:
    return b"".join(store.read(where, start=start))


class StoreContract:
    """The promises of `mediabroker.objects.ObjectStore`."""

    compares_versions: ClassVar[bool] = True
    """Whether the vendor can replace an object on the condition that it has a certain version."""

    @pytest.fixture
    def store(self, place: StorePlace) -> Iterator[ObjectStore]:
        store = place.make()
        yield store
        store.close()

    @pytest.mark.parametrize("body", [b"", b"video", b"x" * (5 * MIB), bytes(range(256)) * (44 * 1024)])
    def test_what_is_written_is_there_whole_and_read_back(
        self, store: ObjectStore, place: StorePlace, body: bytes
    ) -> None:
        where = place.uri("a.mp4")
        written = store.write(where, (body[start : start + MIB] for start in range(0, len(body), MIB)))
        assert written == store.stat(where)
        assert written.size_bytes == len(body)
        assert read(store, where) == body
        assert read(store, where, start=len(body)) == b""
        assert read(store, where, start=3) == body[3:]
        assert place.uploads() == []

    @pytest.mark.parametrize("size", [5, 11 * MIB])
    def test_an_object_that_is_there_is_not_replaced_unless_asked(
        self, store: ObjectStore, place: StorePlace, size: int
    ) -> None:
        where = place.uri("a.mp4")
        store.write(where, iter([b"first"]))
        with pytest.raises(MediaError, match="exists; set overwrite") as caught:
            store.write(where, iter([b"x" * size]))
        assert caught.value.error.code is ErrorCode.OUTPUT_EXISTS
        assert read(store, where) == b"first"
        assert place.uploads() == []
        assert store.write(where, iter([b"x" * size]), overwrite=True).size_bytes == size

    @pytest.mark.parametrize("size", [5, 11 * MIB])
    def test_an_object_is_replaced_only_while_it_has_the_version_that_its_writer_has_read(
        self, store: ObjectStore, place: StorePlace, size: int
    ) -> None:
        where = place.uri("a.json")
        first = store.write(where, iter([b"first"]))
        if not self.compares_versions:
            with pytest.raises(UnsupportedError, match="version"):
                store.write(where, iter([b"x"]), if_version=first.version)
            assert read(store, where) == b"first"
            return
        second = store.write(where, iter([b"2" * size]), if_version=first.version)
        assert second == store.stat(where)
        with pytest.raises(MediaError, match="not of version") as caught:
            store.write(where, iter([b"3" * size]), if_version=first.version)
        assert caught.value.error.code is ErrorCode.INPUT_CHANGED
        assert read(store, where) == b"2" * size
        store.delete(where)
        with pytest.raises(MediaError, match="not of version") as caught:
            store.write(where, iter([b"4" * size]), if_version=second.version)
        assert caught.value.error.code is ErrorCode.INPUT_CHANGED
        assert store.stat(where) is None
        assert place.uploads() == []

    @pytest.mark.parametrize("key", ["a b'\"#%?+&.mp4", "../up", "a/../b", "größe/影片.mp4", "x" * 1023, "%2e%2e"])
    def test_keys_are_literal(self, store: ObjectStore, place: StorePlace, key: str) -> None:
        store.write(place.uri(key), iter([b"1"]))
        assert place.keys() == [key]
        assert read(store, place.uri(key)) == b"1"

    def test_what_is_deleted_is_gone_and_deleting_again_is_no_error(
        self, store: ObjectStore, place: StorePlace
    ) -> None:
        store.write(place.uri("a.mp4"), iter([b"1"]))
        for _ in range(2):
            store.delete(place.uri("a.mp4"))
            assert store.stat(place.uri("a.mp4")) is None
        store.delete(place.elsewhere)

    def test_a_folder_is_cleared_without_its_neighbours(self, store: ObjectStore, place: StorePlace) -> None:
        inside = {place.uri(f"t/{name}") for name in ("in/a", "out/b c.ts", "out/d#%41")}
        beside = place.uri("t2/e")
        for where in (*inside, beside):
            store.write(where, iter([b"x"]))
        assert set(store.list(place.uri("t/"))) == inside
        stores = Stores({beside.scheme: place.settings})
        stores.clear(place.uri("t/"))
        stores.close()
        assert list(store.list(place.uri("t2/"))) == [beside]
        assert list(store.list(place.uri("t/"))) == []

    def test_O8_what_is_not_there_is_said_so(self, store: ObjectStore, place: StorePlace) -> None:
        assert store.stat(place.uri("a.mp4")) is None
        with pytest.raises(MediaError) as caught:
            read(store, place.uri("a.mp4"))
        assert caught.value.error.code is ErrorCode.INPUT_NOT_FOUND
        with pytest.raises(MediaError, match="bucket does not exist") as caught:
            store.write(place.elsewhere, iter([b"1"]))
        assert caught.value.error.code is ErrorCode.OUTPUT_DENIED

    def test_O4_an_upload_that_breaks_off_leaves_nothing(self, store: ObjectStore, place: StorePlace) -> None:
        def breaking() -> Iterator[bytes]:
            yield b"x" * (11 * MIB)
            raise LookupError("the source is gone")

        with pytest.raises(LookupError):
            store.write(place.uri("a.mp4"), breaking())
        assert place.uploads() == []
        assert store.stat(place.uri("a.mp4")) is None

    def test_O4_an_abandoned_upload_is_aborted_when_its_key_is_written_again_and_no_other(
        self, place: StorePlace
    ) -> None:
        for key in ("a.mp4", "a.mp4.bak"):
            place.begin_upload(key)
        store = place.make(abandoned_after_s=0)
        store.write(place.uri("a.mp4"), iter([b"x" * (11 * MIB)]))
        store.close()
        assert place.uploads() == ["a.mp4.bak"]

    def test_files_are_copied_there_and_back(self, place: StorePlace, tmp_path: Path) -> None:
        stores = Stores({place.elsewhere.scheme: place.settings})
        source, target = MediaURI(tmp_path / "a.bin"), MediaURI(tmp_path / "b.bin")
        source.path.write_bytes(b"v" * (6 * MIB))
        stores.copy(source, place.uri("a.mp4"))
        stores.copy(place.uri("a.mp4"), target)
        assert target.path.read_bytes() == source.path.read_bytes()
        stores.close()
