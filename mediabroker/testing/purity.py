"""Catches a flow that does I/O itself instead of yielding calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from threading import local
from typing import Any, TypeVar

from mediabroker.flows import Call, Flow, Reply, drive

__all__ = ["ImpureFlowError", "drive_purely"]

T = TypeVar("T")

_OUTSIDE = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.bind",
        "socket.sendto",
        "subprocess.Popen",
        "os.posix_spawn",
        "os.fork",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.listdir",
        "os.scandir",
        "sqlite3.connect",
    }
)
_CODE = (".py", ".pyc", ".so", ".dylib")
_watching = local()


class ImpureFlowError(AssertionError):
    """A flow touched the outside world between two calls."""


def drive_purely(flow: Flow[T], answer: Callable[[Call[Any]], Reply]) -> T:
    """`drive`, with every bit of I/O forbidden except inside `answer`.

    Raises:
        ImpureFlowError: the flow opened a file or a socket, or started a process.
    """
    _install()

    def outside(call: Call[Any]) -> Reply:
        with _watched(False):
            return answer(call)

    with _watched(True):
        return drive(flow, outside)


@contextmanager
def _watched(on: bool) -> Generator[None, None, None]:
    before = getattr(_watching, "on", False)
    _watching.on = on
    try:
        yield
    finally:
        _watching.on = before


@cache
def _install() -> None:
    # Audit hooks cannot be removed, so there is one for the life of the process, idle unless a flow runs.
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not getattr(_watching, "on", False):
        return
    if event in _OUTSIDE and not _is_import(args):
        raise ImpureFlowError(f"a flow did {event}{args[:2]}; it may only yield calls")
    if event == "open" and not _is_import(args):
        raise ImpureFlowError(f"a flow opened {args[0]!r}; it may only yield calls")


def _is_import(args: tuple[Any, ...]) -> bool:
    """Whether the event comes from importing code, which a flow may do late."""
    path = os.fspath(args[0]) if args and isinstance(args[0], str | bytes | os.PathLike) else ""
    text = os.fsdecode(path)
    return text.endswith(_CODE) or "__pycache__" in text or text.startswith((sys.prefix, sys.base_prefix))
