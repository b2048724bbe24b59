"""Watches a name while files are published to it: what a reader at any moment, or after a power cut, would find."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["half_done", "unflushable"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PROCESSES = frozenset({"os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"})


def half_done(final: Path, work: Callable[[], object]) -> list[str]:
    """Return each step of `work` at which a reader of `final` could find a part of the file, or no file any more.

    A name that is linked or renamed shows the whole file at once; one that is opened for writing does not. The work is
    done in a fork, because an audit hook stays.
    """
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _report_steps(final, there)
            work()
            status = 0
        finally:
            os._exit(status)
    os.close(there)
    with open(here, encoding="utf-8") as steps:  # noqa: PTH123  a descriptor
        seen = steps.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return seen


def _report_steps(final: Path, there: int) -> None:
    had_file = os.path.lexists(final)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int) and (arguments[2] or 0) & _WRITES:
            if Path(os.fsdecode(arguments[0])) == final:
                os.write(there, b"opened for writing\n")
        elif event in _PROCESSES:
            os.write(there, f"{event}\n".encode())
        if had_file and not os.path.lexists(final):
            os.write(there, f"gone before {event}\n".encode())

    sys.addaudithook(watch)


@contextmanager
def unflushable(path: Path) -> Iterator[Path]:
    """Put a file at `path` that takes bytes and cannot be flushed: `fsync` of a FIFO is EINVAL.

    Code that gives it a name without a flush succeeds. Source: fsync(2), Errors.
    """
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that it opens at once for reading and for writing
    try:
        yield path
    finally:
        os.close(held)
