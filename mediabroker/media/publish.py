"""Results appear under their final names whole or not at all: work beside the output, flush, then one atomic step."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError

__all__ = [
    "check_output",
    "is_at",
    "output_errors",
    "own_folder",
    "private_folder",
    "publish_file",
    "publish_folder",
    "sweep",
    "workplace",
]

_PREFIX, _SUFFIX = ".mediabroker-", ".partial"
_RANDOM = "[a-z0-9_]{8}"
"""The part of a name that `tempfile.mkdtemp` chooses."""
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
    """Hold a private, empty folder beside `final`, on the same file system, and remove those of killed processes.

    Raises:
        MediaError: `OUTPUT_DENIED` or `OUT_OF_RESOURCES`.
    """
    with ExitStack() as stack:
        with output_errors(final):
            folder = stack.enter_context(private_folder(final.parent, _PREFIX, _SUFFIX))
        yield folder


@contextmanager
def private_folder(parent: Path, prefix: str, suffix: str = "") -> Iterator[Path]:
    """Hold a new, empty folder in `parent`, which only this user may open, and remove it with its content at the end.

    A killed process cannot remove its folder. The folder is locked as long as its process lives, so the next process
    that asks for one with the same prefix and suffix removes it.
    """
    sweep(parent, re.compile(re.escape(prefix) + _RANDOM + re.escape(suffix)))
    folder, lock = _locked_folder(parent, prefix, suffix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path, name: re.Pattern[str], *, files: bool = False, keep: Path | None = None) -> None:
    """Remove the folders, or the `files`, that killed processes have left in `parent`; their whole name matches `name`.

    One that a live process has locked stays, as does another user's. No link is followed.
    """
    with suppress(OSError):
        for path in [each for each in parent.iterdir() if name.fullmatch(each.name)]:
            if path != keep:
                with suppress(OSError):  # removed meanwhile, locked, or on a file system without locks
                    _remove_abandoned(path, files=files)


def own_folder(path: Path) -> None:
    """Make a folder that only this user may open, unless it is there; nothing but a folder of this user passes.

    Raises:
        OSError: it cannot be made, or a link or another user's folder stands at its name.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(
            errno.EPERM, "it is a link, a file or another user's folder; a folder of this user is needed"
        )


def is_at(path: Path, number: int) -> bool:
    """Return whether the open file or folder `number` is what stands at `path`, which is no link."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(number))
    except FileNotFoundError:
        return False


def publish_file(finished: Path, final: Path, *, overwrite: bool = False) -> None:
    """Give the finished file its final name; `finished` must lie on the same file system and is gone afterwards.

    Without `overwrite`, of several that publish to one name exactly one succeeds (given hard links). A publication that
    a kill has interrupted is completed by the same call.

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


def _locked_folder(parent: Path, prefix: str, suffix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=parent))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            with suppress(OSError):  # some file systems know no locks; nothing is swept there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if is_at(folder, lock):
                return folder, lock
            os.close(lock)
        # Another process has swept it before it was locked.


def _remove_abandoned(path: Path, *, files: bool) -> None:
    found = path.lstat()
    is_wanted = stat.S_ISREG(found.st_mode) if files else stat.S_ISDIR(found.st_mode)
    if found.st_uid != os.geteuid() or not is_wanted:
        return
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_at(path, number):
            return
        if files:
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(number)


def _link(finished: Path, final: Path) -> None:
    try:
        os.link(finished, final)
    except FileExistsError:
        # A process that was killed between the two names has left this very file at both.
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
