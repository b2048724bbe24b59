"""Stages that overlap: a thread that makes items and starts work on them, and the caller, who gets them in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

from neuron_worker.failures import heed

__all__ = ["convey"]

ItemT = TypeVar("ItemT")
WorkT = TypeVar("WorkT")


def convey(source: Iterable[ItemT], submit: Callable[[ItemT], WorkT], *, depth: int, stop: Event) -> Generator[WorkT]:
    """Iterate over `source` in a thread of its own, hand each item to `submit`, and yield what it returns, in order.

    At most `depth` items are under way, so memory is bounded. An error of the source or of `submit` is raised here,
    after all items before it. However the iteration ends, the thread has ended too.

    Args:
        source: consumed and closed in the thread.
        submit: called in the thread; usually starts work and returns futures.
        depth: at least 1.
        stop: when set, the iteration ends with `InterruptedWorkError` before the next item.
    """
    belt: SimpleQueue[Future[WorkT] | None] = SimpleQueue()
    room = Semaphore(depth)
    halt = Event()

    def feed() -> None:
        items = iter(source)
        try:
            while room.acquire() and not (halt.is_set() or stop.is_set()):
                placed: Future[WorkT] = Future()
                placed.set_result(submit(next(items)))
                belt.put(placed)
        except StopIteration:
            pass
        except BaseException as error:
            failed: Future[WorkT] = Future()
            failed.set_exception(error)
            belt.put(failed)
        finally:
            if close := getattr(items, "close", None):
                close()
            belt.put(None)

    thread = Thread(target=feed, name="feed", daemon=True)
    thread.start()
    try:
        while (placed := belt.get()) is not None:
            if stop.is_set():
                break
            yield placed.result()
            room.release()
        heed(stop)
    finally:
        halt.set()
        room.release()
        thread.join()
