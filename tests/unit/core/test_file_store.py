"""`file://` objects: whole or not there, open to whom the umask lets in, and every trouble has a type."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.objects import UnnameableError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from mediabroker.storage.file import FileStore
from tests.watching import half_done, unflushable


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


def test_clearing_follows_no_link(tmp_path: Path) -> None:
    stores, kept = Stores(), tmp_path / "users" / "film.mp4"
    kept.parent.mkdir()
    kept.touch()
    (tmp_path / "token").mkdir()
    (tmp_path / "token" / "out").symlink_to(kept.parent)
    (tmp_path / "token" / "film.mp4").symlink_to(kept)
    stores.clear(MediaURI(f"{tmp_path}/token/"))
    assert not (tmp_path / "token").exists()
    (tmp_path / "token").symlink_to(kept.parent)
    with pytest.raises(MediaError, match="is a link") as caught:
        stores.clear(MediaURI(f"{tmp_path}/token/"))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
    assert kept.exists()


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    store, uri = Stores().of(MediaURI(tmp_path)), MediaURI(tmp_path / "a [1].mp4")
    (tmp_path / ".a [1].mp4.0123abcd.part").write_bytes(b"half")
    kept = [
        tmp_path / name for name in (".a 1.mp4.0123abcd.part", ".a [1].mp4.notes.part", ".a [1].mp4.0123abcd.part.txt")
    ]
    for each in kept:
        each.write_bytes(b"a user's own")
    kept.append(tmp_path / ".a [1].mp4.00000000.part")
    kept[-1].symlink_to(kept[0])
    seen: list[list[str]] = []

    def chunks() -> Iterator[bytes]:
        yield b"1"
        store.write(uri, iter([b"2"]), overwrite=True)  # another writer, while this one is at it
        seen.append(sorted(path.suffix for path in tmp_path.iterdir() if path not in kept))
        yield b"3"

    store.write(uri, chunks(), overwrite=True)
    assert seen == [[".mp4", ".part"]]
    assert uri.path.read_bytes() == b"13"
    assert sorted(tmp_path.glob(".*")) == sorted(kept)


def test_a_writer_that_was_killed_after_it_gave_the_name_leaves_one_file_once_another_has_come(tmp_path: Path) -> None:
    store, uri = FileStore(), MediaURI(tmp_path / "a.mp4")
    pid = os.fork()
    if pid == 0:
        try:
            sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.remove" else None)
            store.write(uri, iter([b"whole"]))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(MediaError) as caught:
        store.write(uri, iter([b"another"]))
    assert caught.value.error.code is ErrorCode.OUTPUT_EXISTS
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_reader_of_a_written_object_finds_it_whole_at_every_step(tmp_path: Path, overwrite: bool) -> None:
    uri = MediaURI(tmp_path / "a.mp4")
    if overwrite:
        uri.path.write_bytes(b"old")
    assert half_done(uri.path, lambda: FileStore().write(uri, iter([b"1", b"2"]), overwrite=overwrite)) == []
    assert uri.path.read_bytes() == b"12"


def test_an_object_that_cannot_be_flushed_gets_no_name(tmp_path: Path) -> None:
    uri = MediaURI(tmp_path / "a.mp4")
    with ExitStack() as stack:

        def chunks() -> Iterator[bytes]:
            yield b"1"
            (beside,) = tmp_path.iterdir()
            stack.enter_context(unflushable(beside))

        with pytest.raises(MediaError) as caught:
            FileStore().write(uri, chunks())
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_be_deleted_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Stores().of(MediaURI(tmp_path)).delete(MediaURI(tmp_path))
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED


def test_a_name_that_the_disk_cannot_have_is_a_typed_error(tmp_path: Path) -> None:
    uri = MediaURI(tmp_path / ("n" * 300))
    store = Stores().of(uri)
    with pytest.raises(MediaError, match="File name too long") as caught:
        store.stat(uri)
    assert caught.value.error.code is ErrorCode.INPUT_DENIED
    for overwrite in (False, True):
        with pytest.raises(MediaError, match="File name too long") as caught:
            store.write(uri, iter([b"x"]), overwrite=overwrite)
        assert caught.value.error.code is ErrorCode.OUTPUT_DENIED
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = "import sys\nfrom tests.unit.core.test_file_store import overfill\noverfill(sys.argv[1])\n"
    words = [sys.executable, "-c", code, str(tmp_path / "big")]
    child = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert child.stdout.strip() == "OUT_OF_RESOURCES: the output", child.stderr
    assert list(tmp_path.iterdir()) == []


def overfill(path: str) -> None:
    """Runs in a child: write until the file-size limit stops it, in the middle of a chunk."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        Stores().of(MediaURI(path)).write(MediaURI(path), iter([b"x" * 60_000] * 3))
    except MediaError as error:
        print(str(error).partition(" " + path)[0])  # noqa: T201  the parent reads it


def test_an_error_of_the_source_stays_the_sources(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionResetError("the source")

    uri = MediaURI(tmp_path / "a")
    with pytest.raises(ConnectionResetError, match="the source"):
        Stores().of(uri).write(uri, chunks())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    uri = MediaURI(tmp_path / "a.mp4")
    before = os.umask(umask)
    try:
        Stores().of(uri).write(uri, iter([b"x"]))
    finally:
        os.umask(before)
    assert uri.path.stat().st_mode & 0o777 == mode


def test_a_name_that_no_uri_can_stand_for_is_said_after_all_others_and_cleared_with_them(tmp_path: Path) -> None:
    for name in ("a.ts", "new\nline.ts", "z.ts"):
        (tmp_path / name).touch()
    folder = MediaURI(f"{tmp_path}/")
    listing = Stores().of(folder).list(folder)
    assert {next(listing), next(listing)} == {MediaURI(tmp_path / "a.ts"), MediaURI(tmp_path / "z.ts")}
    with pytest.raises(UnnameableError, match=r"new\\nline"):
        next(listing)
    Stores().clear(folder)
    assert not tmp_path.exists()
