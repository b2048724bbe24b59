"""What workers on many machines stand on: claims, scratch folders, downloads, and an end in time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ErrorCode,
    MediaError,
    ProviderError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from mediabroker.storage.file import FileStore
from neuron_worker.failures import Exit, InterruptedWorkError, describe_failure, exit_code_of
from neuron_worker.fleet.claims import Claim, Claims, claim_name
from neuron_worker.fleet.fetch import local_source
from neuron_worker.fleet.manifest import Manifest, SourceVersion
from neuron_worker.fleet.scratch import Scratch
from neuron_worker.fleet.shelf import Shelf

_NEVER = Event()
_WAIT_S = 60.0
_SOURCE = "source-" + "0123456789abcdef" * 2


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with closing(Stores()) as stores:
        yield Shelf(stores, MediaURI(f"{tmp_path}/"))


def undone() -> bool:
    return False


def test_a_later_attempt_takes_its_own_claim_over_at_once(shelf: Shelf) -> None:
    shelf.put(claim_name("slice"), Claim(holder="job:1", beat=7))
    with Claims(shelf, "job:1", patience_s=3600).hold("slice", undone, _NEVER) as mine:
        assert mine


def test_another_jobs_claim_that_stands_still_is_taken_over(shelf: Shelf) -> None:
    shelf.put(claim_name("slice"), Claim(holder="another", beat=7))
    with Claims(shelf, "job:1", patience_s=0.2).hold("slice", undone, _NEVER) as mine:
        assert mine
        found = shelf.read(claim_name("slice"), Claim)
        assert found is not None
        assert found.holder == "job:1"


def test_a_claim_that_is_kept_up_is_waited_for_until_the_work_is_done(shelf: Shelf) -> None:
    done, got = Event(), list[bool]()

    def wait() -> None:
        with Claims(shelf, "waiter", patience_s=2).hold("slice", done.is_set, _NEVER) as mine:
            got.append(mine)

    with Claims(shelf, "holder", patience_s=2).hold("slice", undone, _NEVER) as mine:
        assert mine
        waiter = Thread(target=wait)
        waiter.start()
        while (found := shelf.read(claim_name("slice"), Claim)) is None or found.beat < 6:  # longer than its patience
            assert not got
            assert not done.wait(0.05)
        assert found.holder == "holder"
        done.set()
        waiter.join(_WAIT_S)
    assert got == [False]


def test_a_holder_whose_claim_was_taken_over_leaves_it_to_the_other_worker(shelf: Shelf) -> None:
    other = Claim(holder="another")
    with Claims(shelf, "holder", patience_s=0.2).hold("slice", undone, _NEVER) as mine:
        assert mine
        shelf.put(claim_name("slice"), other)
        beating = next(each for each in threading.enumerate() if each.name == "claim slice")
        beating.join(timeout=10)
        assert not beating.is_alive()
        assert shelf.read(claim_name("slice"), Claim) == other


def test_whoever_waits_for_a_claim_heeds_the_word_to_stop(shelf: Shelf) -> None:
    shelf.put(claim_name("slice"), Claim(holder="another"))
    stop = Event()
    stop.set()
    with pytest.raises(InterruptedWorkError), Claims(shelf, "job").hold("slice", undone, stop):
        pass


def test_a_record_that_is_there_is_kept_and_one_that_is_none_is_no_record(shelf: Shelf, tmp_path: Path) -> None:
    first, second = Claim(holder="a"), Claim(holder="b")
    assert shelf.keep("x", first) == first
    assert shelf.keep("x", second) == first
    (tmp_path / "x").write_text('{"holder": 3}')
    with pytest.raises(MediaError, match="is not what this release writes"):
        shelf.read("x", Claim)


def test_a_slice_that_is_not_as_it_was_written_is_never_fetched_for_a_merge(shelf: Shelf, tmp_path: Path) -> None:
    made, fetched = tmp_path / "made.mp4", tmp_path / "fetched.mp4"
    made.write_bytes(b"frames")
    digest = hashlib.sha256(b"frames").hexdigest()
    shelf.store("slice-0.mp4", made, _NEVER)
    shelf.uri("slice-0.mp4").path.write_bytes(b"fr?mes")
    with pytest.raises(MediaError, match="not as it was written") as caught:
        shelf.fetch("slice-0.mp4", fetched, digest, _NEVER)
    assert caught.value.error.code is ErrorCode.OUTPUT_MISSING
    assert not fetched.exists()


@pytest.mark.parametrize("workers", [1, 2, 3, 10])
def test_every_planned_slice_is_one_workers_whatever_was_expected(workers: int) -> None:
    job = {"input": "s3://media/in.mp4", "output": "s3://media/out.mp4"}
    source = {"size_bytes": 1, "version": "v"}
    manifest = Manifest.model_validate(
        {"version": 1, "token": "t", "work": "s3://media/w/", "slice_count": workers, "source": source, "job": job}
    )
    for planned in range(1, 25):
        shares = [index for worker in range(workers) for index in manifest.share(worker, planned)]
        assert shares == list(range(planned))


def test_a_scratch_folder_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        Scratch(tmp_path / "open")


def test_private_folders_are_private_and_vanish(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    with scratch.private() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_killed_worker_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    dead, living = (tmp_path / f"{each}.mediabroker-scratch" for each in ("run-deaddead", "source-" + "e" * 32))
    dead.mkdir()
    (dead / "slice.part").write_text("x")
    living.mkdir()
    lock = os.open(living, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    with scratch.private(), scratch.shared("new", _NEVER, ready=Path.is_dir, prepare=Path.mkdir):
        names = {path.name.partition("-")[0].partition(".")[0] for path in tmp_path.iterdir()}
        assert names == {"source", "run", "new"}
        assert not dead.exists()
    os.close(lock)


def test_links_in_place_of_scratch_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir(mode=0o700)
    (tmp_path / "planted").symlink_to(tmp_path / "users")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("planted", "loop"):
        with pytest.raises(ConfigurationError, match="it is a link"):
            Scratch(tmp_path / name)
    scratch = Scratch(tmp_path / "scratch")
    (tmp_path / "scratch" / f"{_SOURCE}.mediabroker-scratch").symlink_to(tmp_path / "users")
    with (
        pytest.raises(ConfigurationError, match="it is a link"),
        scratch.shared(_SOURCE, _NEVER, ready=lambda folder: False, prepare=lambda folder: (folder / "x").touch()),
    ):
        pass
    assert list((tmp_path / "users").iterdir()) == []


def test_of_several_workers_one_prepares_and_all_use_it(tmp_path: Path) -> None:
    scratch, prepared, used = Scratch(tmp_path), list[Path](), list[str]()
    together = Barrier(3)

    def prepare(folder: Path) -> None:
        prepared.append(folder)
        (folder / "ready").write_text("content")

    def use() -> None:
        with scratch.shared(
            _SOURCE, _NEVER, ready=lambda folder: (folder / "ready").exists(), prepare=prepare
        ) as folder:
            together.wait(_WAIT_S)
            used.append((folder / "ready").read_text())

    threads = [Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_WAIT_S)
    assert used == ["content"] * 3
    assert len(prepared) == 1


class CountingStore(FileStore):
    """Notes from where objects are read; with `swap`, the object is replaced while it is read."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.swap: bytes | None = None

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        self.starts.append(start)
        if self.swap is not None:
            uri.path.write_bytes(self.swap)
        return super().read(uri, start=start)


class Library:
    """One object, a store that counts, and room for a copy."""

    def __init__(self, folder: Path) -> None:
        self.uri, self.content = MediaURI(folder / "object"), os.urandom(3 << 20)
        self.uri.path.write_bytes(self.content)
        self.store, self.stores, self.scratch = CountingStore(), Stores(), Scratch(folder / "scratch")
        self.stores._open["file"] = self.store
        self.root = folder / "scratch"
        stat = self.store.stat(self.uri)
        assert stat is not None
        self.expected = SourceVersion(size_bytes=stat.size_bytes, version=stat.version)

    def fetch(self, stop: Event = _NEVER) -> bytes:
        with local_source(self.stores, self.scratch, self.uri, self.expected, stop) as local:
            return local.path.read_bytes()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def partial(library: Library, content: bytes) -> Path:
    """What an interrupted download leaves."""
    library.fetch()
    (folder,) = library.root.iterdir()
    (folder / "source").unlink()
    (folder / "source.part").write_bytes(content)
    library.store.starts.clear()
    return folder / "source.part"


def test_a_source_is_fetched_once_for_all_workers_here(library: Library) -> None:
    assert library.fetch() == library.content
    assert library.fetch() == library.content
    assert library.store.starts == [0]


def test_a_download_goes_on_where_it_was(library: Library) -> None:
    partial(library, library.content[: 1 << 20])
    assert library.fetch() == library.content
    assert library.store.starts == [1 << 20]


def test_a_download_that_was_told_to_stop_keeps_what_has_arrived(library: Library) -> None:
    left, stop = partial(library, b""), Event()
    stop.set()
    with pytest.raises(InterruptedWorkError):
        library.fetch(stop)
    assert left.exists()
    assert library.fetch() == library.content


def test_what_is_too_long_to_be_the_beginning_is_fetched_anew(library: Library) -> None:
    partial(library, b"x" * (4 << 20))
    assert library.fetch() == library.content
    assert library.store.starts == [0]


def test_an_object_that_is_replaced_while_it_is_read_is_not_used(library: Library) -> None:
    library.store.swap = os.urandom(3 << 20)
    with pytest.raises(MediaError) as caught:
        library.fetch()
    assert caught.value.error.code is ErrorCode.INPUT_CHANGED
    assert not list(library.root.rglob("source*.part")) + list(library.root.rglob("source"))


def test_a_source_that_does_not_fit_is_refused_before_it_is_fetched(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(library.root)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(MediaError, match="MiB are needed") as caught:
        library.fetch()
    assert caught.value.error.code is ErrorCode.OUT_OF_RESOURCES
    assert library.store.starts == []


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (ThrottledError("slow down"), ErrorCode.RATE_LIMITED, Exit.INTERRUPTED),
        (UnavailableError("not now"), ErrorCode.PROVIDER_INTERNAL, Exit.INTERRUPTED),
        (AuthenticationError("expired"), ErrorCode.AUTH, Exit.INVALID),
        (ProviderError("no"), ErrorCode.PROVIDER_INTERNAL, Exit.INTERNAL),
    ],
)
def test_a_store_that_cannot_be_asked_now_is_a_reason_to_try_again(
    error: ProviderError, code: ErrorCode, exit_code: Exit
) -> None:
    assert (describe_failure(error).code, exit_code_of(error)) == (code, exit_code)


def run(program: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_WAIT_S,
        check=False,
    )


def test_a_worker_that_hangs_is_ended_in_time_and_may_be_started_again() -> None:
    program = (
        "from threading import Event; from neuron_worker.fleet.tasks import end_in_time;"
        "stop = Event(); end_in_time(stop, Event(), grace_s=0.1); stop.set(); Event().wait()"
    )
    assert run(["-c", program]).returncode == Exit.INTERRUPTED


def test_a_worker_without_an_order_says_what_is_missing() -> None:
    done = run(["-m", "neuron_worker", "work"], MEDIABROKER_TASK="", MEDIABROKER_MANIFEST="")
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, told["error"]["code"]) == (Exit.INVALID, "INVALID_SPEC")
    assert "MEDIABROKER_TASK" in told["error"]["message"]


def test_the_sweep_of_a_scratch_folder_leaves_a_users_own_files_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    kept = [tmp_path / "holiday", tmp_path / "run-a1b2c3d4", tmp_path / "source-x.mediabroker-scratch"]
    litter = tmp_path / "run-a1b2c3d4.mediabroker-scratch"
    for each in (*kept, litter):
        each.mkdir()
        (each / "file").write_bytes(b"x")
    (tmp_path / "run-linked00.mediabroker-scratch").symlink_to(tmp_path / "holiday")
    with Scratch(tmp_path).shared("source-" + "0" * 32, _NEVER, ready=Path.is_dir, prepare=Path.mkdir):
        pass
    assert all((each / "file").exists() for each in kept)
    assert not litter.exists()
