"""SIGTERM and SIGINT as an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

__all__ = ["ending_on_signals"]


@contextmanager
def ending_on_signals(end: Callable[[], object]) -> Iterator[None]:
    """Call `end` on SIGTERM and SIGINT as long as the block runs, where this thread may say what signals do.

    `end` runs between any two steps of the main thread, so it may only set a flag: a lock could be held already.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is Python's
        end()

    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
