"""Results appear under their final names whole or not at all: work beside the output, flush, then one atomic step."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["check_output", "output_errors", "publish_file", "publish_folder", "workplace"]

_PREFIX, _SUFFIX = ".mediabroker-", ".partial"
_ABANDONED = re.compile(r"\.mediabroker-[a-z0-9_]{8}\.partial")
"""The names that `tempfile.mkdtemp` gives with this prefix and suffix."""
_YOUNG_S = 60.0
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP})


def check_output(final: Path, *, overwrite: bool = False, source: Path | None = None) -> None:
    """Refuse early what publishing would refuse at the end.

    Raises:
        MediaError: `OUTPUT_DENIED` when the folder is missing or may not be written, or `final` is a folder;
            `OUTPUT_EXISTS` when something is there and `overwrite` is off; `INVALID_SPEC` when it is the source itself.
    """
    folder = final.parent
    with output_errors(final):
        if not folder.is_dir():
            raise MediaError(ErrorCode.OUTPUT_DENIED, f"the output folder {folder} does not exist; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise MediaError(ErrorCode.OUTPUT_DENIED, f"the output folder {folder} may not be written to")
        if final.is_dir():
            raise MediaError(ErrorCode.OUTPUT_DENIED, f"the output {final} is a folder; a file name is needed")
        if source is not None and final.exists() and source.exists() and final.samefile(source):
            raise MediaError(ErrorCode.INVALID_SPEC, f"the output {final} is the input itself; it would be lost")
        if not overwrite and os.path.lexists(final):
            raise _exists(final)


@contextmanager
def workplace(final: Path) -> Iterator[Path]:
    """A private, empty folder beside `final`, on the same file system; whatever is left in it is removed at the end.

    Who was killed cannot remove its own: a lock on the folder lives as long as its process, and folders that nobody
    locks are removed by the next to come.

    Raises:
        MediaError: `OUTPUT_DENIED` or `OUT_OF_RESOURCES`.
    """
    with output_errors(final):
        _remove_abandoned(final.parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=final.parent))
        lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish_file(finished: Path, final: Path, *, overwrite: bool = False) -> None:
    """Give the finished file its final name; `finished` must lie on the same file system and is gone afterwards.

    Without `overwrite`, of several that publish to one name exactly one succeeds (given hard links).

    Raises:
        MediaError: `OUTPUT_EXISTS`, `OUTPUT_DENIED`, `OUT_OF_RESOURCES`; `final` is then as it was.
    """
    with output_errors(final):
        _flush(finished)
        if overwrite:
            finished.replace(final)
        else:
            _link(finished, final)
            finished.unlink(missing_ok=True)
        _flush(final.parent)


def publish_folder(finished: Path, beside: Path) -> Path:
    """Give a finished folder a name of its own beside the file `beside`, from which its name is made; the new path.

    The name is new each time: the file that is published afterwards and points into it is what switches readers over,
    and readers of an older file keep their older folder.

    Raises:
        MediaError: `OUTPUT_DENIED`, `OUT_OF_RESOURCES`.
    """
    with output_errors(beside):
        for file in sorted(finished.iterdir()):
            _flush(file)
        _flush(finished)
        final = beside.with_name(f"{beside.stem[:200]}-{secrets.token_hex(4)}")
        finished.rename(final)
        _flush(final.parent)
        return final


@contextmanager
def output_errors(final: Path) -> Iterator[None]:
    """Turn what the operating system says while `final` is written into a typed error."""
    try:
        yield
    except FileExistsError as error:
        raise _exists(final) from error
    except OSError as error:
        exhausted = error.errno in _EXHAUSTED
        code = ErrorCode.OUT_OF_RESOURCES if exhausted else ErrorCode.OUTPUT_DENIED
        reason = "the disk is full" if exhausted else error.strerror
        raise MediaError(code, f"the output {final} cannot be written: {reason}") from error


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        if not _ABANDONED.fullmatch(folder.name):
            continue  # of this project, as a job's own staging folder, and not of this function
        with suppress(OSError):
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                # A folder this young may belong to somebody who has not come to lock it.
                if time.time() - os.fstat(number).st_mtime > _YOUNG_S and _lock(number):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(number)


def _lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody holds it, or this file system knows no locks
        return False
    return True


def _link(finished: Path, final: Path) -> None:
    try:
        os.link(finished, final)
    except FileExistsError:
        # A run that was killed between the two names has left both to the one file.
        if not os.path.samestat(finished.lstat(), final.lstat()):
            raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Without hard links nothing portable renames without replacing: look first and accept the gap.
        if os.path.lexists(final):
            raise _exists(final) from error
        finished.rename(final)


def _flush(path: Path) -> None:
    # Some network and FUSE file systems refuse to flush a folder; for a file a refusal is a loss.
    forgiven = (OSError,) if path.is_dir() else ()
    number = os.open(path, os.O_RDONLY)
    try:
        with suppress(*forgiven):
            os.fsync(number)
    finally:
        os.close(number)


def _exists(final: Path) -> MediaError:
    return MediaError(ErrorCode.OUTPUT_EXISTS, f"the output {final} is already there; overwrite was not asked for")
