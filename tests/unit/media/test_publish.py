"""Whole or not at all: what stands at an output's name, whatever happens."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import (
    check_output,
    output_errors,
    own_folder,
    publish_file,
    publish_folder,
    workplace,
)
from tests.watching import half_done, unflushable


def _made(folder: Path, content: bytes = b"new") -> Path:
    path = folder / "made"
    path.write_bytes(content)
    return path


def _code(error: pytest.ExceptionInfo[MediaError]) -> ErrorCode:
    return error.value.error.code


def test_publish_moves_the_file_to_its_name(tmp_path: Path) -> None:
    publish_file(_made(tmp_path), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


def test_publish_refuses_an_existing_output_and_leaves_it_untouched(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(MediaError) as caught:
        publish_file(_made(tmp_path), tmp_path / "out.mp4")
    assert _code(caught) is ErrorCode.OUTPUT_EXISTS
    assert (tmp_path / "out.mp4").read_bytes() == b"old"


def test_publish_with_overwrite_replaces(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    publish_file(_made(tmp_path), tmp_path / "out.mp4", overwrite=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"new"


def test_of_many_that_publish_to_one_name_exactly_one_succeeds(tmp_path: Path) -> None:
    barrier, outcomes = threading.Barrier(8), []

    def publish(number: int) -> None:
        made = tmp_path / f"made{number}"
        made.write_bytes(bytes([number]))
        barrier.wait(timeout=10)
        try:
            publish_file(made, tmp_path / "out")
            outcomes.append(number)
        except MediaError as error:
            assert error.error.code is ErrorCode.OUTPUT_EXISTS

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(outcomes) == 1
    assert (tmp_path / "out").read_bytes() == bytes(outcomes)


def _die_at(event: str, name: str) -> None:
    """Kill this process when it is about to do this to a file of that name."""

    def strike(seen: str, arguments: tuple[object, ...]) -> None:
        if seen == event and Path(str(arguments[0])).name == name:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(strike)


def _killed(work: Callable[[], object]) -> bool:
    """Whether the fork that does this work was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_a_publication_that_was_killed_between_two_names_is_completed_by_the_next_run(tmp_path: Path) -> None:
    made, final = _made(tmp_path), tmp_path / "out.mp4"

    def publish() -> None:
        _die_at("os.remove", made.name)
        publish_file(made, final)

    assert _killed(publish)
    assert made.samefile(final)
    publish_file(made, final)
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]
    assert final.read_bytes() == b"new"


def test_a_link_to_the_finished_file_is_not_taken_for_its_publication(tmp_path: Path) -> None:
    made, final = _made(tmp_path), tmp_path / "out.mp4"
    final.symlink_to(made)
    with pytest.raises(MediaError) as caught:
        publish_file(made, final)
    assert _code(caught) is ErrorCode.OUTPUT_EXISTS
    assert made.read_bytes() == b"new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_reader_of_the_name_finds_a_whole_file_at_every_step(tmp_path: Path, overwrite: bool) -> None:
    made, final = _made(tmp_path), tmp_path / "out.mp4"
    identity = made.stat().st_ino
    if overwrite:
        final.write_bytes(b"old")
    assert half_done(final, lambda: publish_file(made, final, overwrite=overwrite)) == []
    assert final.stat().st_ino == identity


def test_a_reader_that_has_opened_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    with (tmp_path / "out.mp4").open("rb") as reader:
        publish_file(_made(tmp_path), tmp_path / "out.mp4", overwrite=True)
        assert reader.read() == b"the old one"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_cannot_be_flushed_gets_no_name(tmp_path: Path, overwrite: bool) -> None:
    with unflushable(tmp_path / "made") as made, pytest.raises(MediaError) as caught:
        publish_file(made, tmp_path / "out.mp4", overwrite=overwrite)
    assert _code(caught) is ErrorCode.OUTPUT_DENIED
    assert not os.path.lexists(tmp_path / "out.mp4")


def test_a_folder_with_a_file_that_cannot_be_flushed_gets_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    with unflushable(folder / "segment.ts"), pytest.raises(MediaError):
        publish_folder(folder, tmp_path / "show.m3u8")
    assert list(tmp_path.iterdir()) == [folder]


def test_publish_without_hard_links_still_refuses_to_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    publish_file(_made(tmp_path), tmp_path / "out")
    with pytest.raises(MediaError) as caught:
        publish_file(_made(tmp_path, b"second"), tmp_path / "out")
    assert _code(caught) is ErrorCode.OUTPUT_EXISTS
    assert (tmp_path / "out").read_bytes() == b"new"


def test_check_output_names_what_is_wrong_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"x")
    twin = tmp_path / "twin.mp4"
    twin.hardlink_to(source)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    expected = {
        tmp_path / "none" / "out.mp4": ErrorCode.OUTPUT_DENIED,
        source / "out.mp4": ErrorCode.OUTPUT_DENIED,
        tmp_path: ErrorCode.OUTPUT_DENIED,
        source: ErrorCode.INVALID_SPEC,
        twin: ErrorCode.INVALID_SPEC,
        tmp_path / "dangling": ErrorCode.OUTPUT_EXISTS,
    }
    for output, code in expected.items():
        with pytest.raises(MediaError) as caught:
            check_output(output, source=source)
        assert _code(caught) is code, output
    check_output(tmp_path / "dangling", overwrite=True, source=source)
    check_output(tmp_path / "new.mp4", source=source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_output_refuses_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o500)
    with pytest.raises(MediaError) as caught:
        check_output(folder / "out.mp4")
    assert _code(caught) is ErrorCode.OUTPUT_DENIED


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ErrorCode.OUT_OF_RESOURCES),
        (errno.EDQUOT, ErrorCode.OUT_OF_RESOURCES),
        (errno.EROFS, ErrorCode.OUTPUT_DENIED),
        (errno.EACCES, ErrorCode.OUTPUT_DENIED),
        (errno.EEXIST, ErrorCode.OUTPUT_EXISTS),
    ],
)
def test_what_the_system_says_of_an_output_becomes_a_code(tmp_path: Path, number: int, code: ErrorCode) -> None:
    with pytest.raises(MediaError) as caught, output_errors(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert _code(caught) is code


def test_X17_workplace_is_private_beside_the_output_and_gone_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), workplace(tmp_path / "out.mp4") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        _made(folder)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_W13_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    with workplace(tmp_path / "out") as busy:
        left = tmp_path / ".mediabroker-l_0left9.partial"
        left.mkdir()
        _made(left)
        with workplace(tmp_path / "other") as young, workplace(tmp_path / "third"):
            assert not left.exists()
            assert busy.is_dir()
            assert young.is_dir()
    assert list(tmp_path.iterdir()) == []


def _precious(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return _made(folder / name, b"a user's own")


def test_folders_and_files_that_are_no_workplaces_are_never_removed(tmp_path: Path) -> None:
    names = (
        "notes",
        ".mediabroker-notes.partial",
        ".mediabroker-12345678.partial.old",
        "x.mediabroker-12345678.partial",
    )
    kept = [_precious(tmp_path, name) for name in (*names, ".mediabroker-job-12345678.partial")]
    (tmp_path / ".mediabroker-00000000.partial").write_bytes(b"a user's own")
    (tmp_path / "elsewhere").mkdir()
    kept.append(_made(tmp_path / "elsewhere", b"a user's own"))
    (tmp_path / ".mediabroker-11111111.partial").symlink_to(tmp_path / "elsewhere")
    before = set(tmp_path.iterdir())
    with workplace(tmp_path / "out"):
        pass
    assert set(tmp_path.iterdir()) == before
    assert {each.read_bytes() for each in kept} == {b"a user's own"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_workplace_that_another_user_left_is_not_removed(tmp_path: Path) -> None:
    made = _precious(tmp_path, ".mediabroker-12345678.partial")
    os.chown(made.parent, 12345, 12345)
    with workplace(tmp_path / "out"):
        pass
    assert made.exists()


def test_a_link_is_nobodys_own_folder(tmp_path: Path) -> None:
    own_folder(tmp_path / "made")
    own_folder(tmp_path / "made")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "made")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for name in ("link", "loop", "file"):
        with pytest.raises(PermissionError, match="a folder of this user is needed"):
            own_folder(tmp_path / name)


def test_workplace_in_a_missing_folder_is_denied(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught, workplace(tmp_path / "none" / "out"):
        pass
    assert _code(caught) is ErrorCode.OUTPUT_DENIED


def test_a_published_folder_gets_a_name_of_its_own_each_time(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        made = tmp_path / "made"
        made.mkdir()
        _made(made)
        final = publish_folder(made, tmp_path / "show.m3u8")
        assert (final / "made").read_bytes() == b"new"
        names.add(final.name)
    assert len(names) == 3
    assert all(name.startswith("show-") for name in names)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_published_is_the_finished_file_itself_flushed_before_it_has_its_name(
    tmp_path: Path, overwrite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, final = _made(tmp_path), tmp_path / "out.mp4"
    own, flush, flushed = made.stat().st_ino, os.fsync, list[tuple[int, bool]]()

    def noted(number: int) -> None:
        flushed.append((os.fstat(number).st_ino, final.exists()))
        flush(number)

    monkeypatch.setattr(os, "fsync", noted)
    publish_file(made, final, overwrite=overwrite)
    assert final.stat().st_ino == own, "a copy would be seen half-written"
    assert (own, False) in flushed
    assert (tmp_path.stat().st_ino, True) in flushed


def test_the_sweep_leaves_alone_what_this_module_has_not_made(tmp_path: Path) -> None:
    token = "a" * 26
    kept = [tmp_path / f".mediabroker-{token}.partial", tmp_path / ".mediabroker-mine.partial", tmp_path / "photos"]
    litter = tmp_path / ".mediabroker-a1b2c3d4.partial"
    for each in (*kept, litter):
        each.mkdir()
        (each / "file").write_bytes(b"x")
        os.utime(each, (0, 0))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".mediabroker-link0000.partial").symlink_to(elsewhere)
    with workplace(tmp_path / "out.mp4"):
        pass
    assert all((each / "file").exists() for each in kept)
    assert elsewhere.exists()
    assert not litter.exists()
