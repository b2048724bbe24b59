"""Events for asyncio: `EventStream` awaited, and coroutine functions as handlers."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import ParamSpec, Self

from mediabroker.broker.events.stream import EventStream
from mediabroker.errors import MediaBrokerError
from mediabroker.events import JobEvent

__all__ = ["AsyncEventStream", "on_loop", "run_in"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncEventStream:
    """`EventStream` for asyncio: `async with`, `async for`; see `EventStream` for each promise.

    It waits on a thread of its own, so that streams keep nobody else from theirs.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mediabroker-stream")
        self._closed = False

    async def __aenter__(self) -> Self:
        await run_in(self._thread, self._stream.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close(lambda: self._stream.__exit__(kind, error, trace))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        if self._closed:
            raise StopAsyncIteration
        try:
            event = await run_in(self._thread, next, self._stream, None)
        except asyncio.CancelledError:
            self._stream.stop()  # the thread must not wait for an event that nobody will take
            raise
        if event is None:
            raise StopAsyncIteration
        return event

    @property
    def troubles(self) -> Mapping[str, MediaBrokerError]:
        return self._stream.troubles

    def stop(self) -> None:
        self._stream.stop()

    async def aclose(self) -> None:
        await self._close(self._stream.close)

    async def _close(self, close: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await run_in(self._thread, close)
        finally:
            self._thread.shutdown(wait=False)


async def run_in(pool: Executor, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking method in the pool, with the caller's context variables."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(method, *args, **kwargs))


def on_loop(
    handler: Callable[[JobEvent], Any], loop: Callable[[], asyncio.AbstractEventLoop | None]
) -> Callable[[JobEvent], object]:
    """A coroutine function as a handler: it runs on the loop that serves; without one, on a loop of its own."""

    def call(event: JobEvent) -> object:
        serving = loop()
        if serving is None:
            return asyncio.run(handler(event))
        return asyncio.run_coroutine_threadsafe(handler(event), serving).result()

    return call
