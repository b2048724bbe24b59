"""Whole or not at all: what stands at an output's name, whatever happens."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import check_output, output_errors, publish_file, publish_folder, workplace


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
        left = tmp_path / ".mediabroker-left0000.partial"
        left.mkdir()
        _made(left)
        (tmp_path / ".mediabroker-file.partial").touch()
        (tmp_path / ".mediabroker-link.partial").symlink_to(tmp_path)
        for folder in (busy, left):
            os.utime(folder, (1, 1))
        with workplace(tmp_path / "other") as young, workplace(tmp_path / "third"):
            assert not left.exists()
            assert busy.is_dir()
            assert young.is_dir()
    assert {each.name for each in tmp_path.iterdir()} == {".mediabroker-file.partial", ".mediabroker-link.partial"}


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


_KILLED = """
import os, signal, sys
from pathlib import Path
from mediabroker.media.publish import publish_file
plain = Path.unlink
Path.unlink = lambda path, **more: os.kill(os.getpid(), signal.SIGKILL)
publish_file(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_publisher_killed_between_the_two_names_of_its_file_is_followed_by_one_that_finishes(tmp_path: Path) -> None:
    made, final = _made(tmp_path), tmp_path / "out.mp4"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(made), str(final)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert made.samefile(final)
    publish_file(made, final)
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]
    with pytest.raises(MediaError):
        publish_file(_made(tmp_path), final)


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
