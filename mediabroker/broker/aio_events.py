"""Events for asyncio: `EventStream` awaited, and coroutine functions as handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from typing_extensions import Self

from mediabroker.broker.stream import EventStream
from mediabroker.errors import MediaBrokerError
from mediabroker.events import JobEvent

__all__ = ["AsyncEventStream", "on_loop"]

InThread = Callable[..., Awaitable[Any]]


class AsyncEventStream:
    """`EventStream` for asyncio: `async with`, `async for`; see `EventStream` for each promise."""

    def __init__(self, in_thread: InThread, stream: EventStream) -> None:
        self._in_thread = in_thread
        self._stream = stream

    async def __aenter__(self) -> Self:
        await self._in_thread(self._stream.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._in_thread(self._stream.__exit__, kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        try:
            event: JobEvent | None = await self._in_thread(next, self._stream, None)
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
        await self._in_thread(self._stream.close)


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
