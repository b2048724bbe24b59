"""The receive loop of one queue, on a thread of its own: receive, have the batch taken in, delete what was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread

from mediabroker.clock import Clock
from mediabroker.errors import MediaBrokerError
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.outages import Outage

__all__ = ["Receiver"]

_log = logging.getLogger(__name__)

_LONG_POLL_S = 20.0
_MOMENT_S = 0.5
_RELEASE_AFTER_S = 5.0
_RELEASE_CAP_S = 300.0

Take = Callable[[Sequence[InboundMessage]], Sequence[bool]]
"""Takes a batch in for good; True for each message that may be deleted now, in their order."""


class Receiver:
    """Feeds one source's messages to `take` until it is stopped.

    A message is deleted only after `take` has returned, so nothing is lost when the process dies, and what comes twice
    is `take`'s to absorb. A source in trouble is tried again in at most 60 s; the others do not notice.
    """

    def __init__(self, source: EventSource, take: Take, clock: Clock) -> None:
        self._source = source
        self._take = take
        self._clock = clock
        self._stop = Event()
        self._in_hand = Lock()
        self._outage = Outage(_log, f"receiving from {source.url}")
        self.trouble: MediaBrokerError | None = None
        """Why nothing can be received at the moment."""
        self._thread = Thread(target=self._run, name=f"mediabroker-receive {source.url}", daemon=True)

    @property
    def url(self) -> str:
        return self._source.url

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch in hand, then end. A poll that is under way may outlast its waiter; its messages go back."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end, but no longer than a moment for one that has no batch in hand."""
        self._thread.join(min(timeout_s, _MOMENT_S))
        if self._thread.is_alive() and self._in_hand.acquire(timeout=max(0.0, timeout_s - _MOMENT_S)):
            self._in_hand.release()

    def receive_once(self, wait_s: float) -> int:
        """One round; how many messages came.

        Raises:
            MediaBrokerError: of the source or of `take`; what was not deleted comes again.
        """
        messages = self._source.receive(wait_s=wait_s)
        if not messages:
            return 0
        with self._in_hand:
            return self._handle(messages)

    def _handle(self, messages: Sequence[InboundMessage]) -> int:
        if self._stop.is_set():
            self._source.release(messages)
            return 0
        try:
            settled = self._take(messages)
        except BaseException:
            self._source.release(messages, delay_s=_RELEASE_AFTER_S)
            raise
        self._finish(messages, settled)
        return len(messages)

    def _finish(self, messages: Sequence[InboundMessage], settled: Sequence[bool]) -> None:
        done = [message for message, is_done in zip(messages, settled, strict=True) if is_done]
        if done and (stuck := self._source.delete(done)):
            _log.info(
                "messages could not be deleted and will come again (count %s)", len(stuck), extra={"count": len(stuck)}
            )
        for message, is_done in zip(messages, settled, strict=True):
            if not is_done:
                delay_s = min(_RELEASE_AFTER_S * 2 ** min(message.receive_count - 1, 10), _RELEASE_CAP_S)
                self._source.release([message], delay_s=delay_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                # After trouble a short poll: it tells at once whether that is over.
                self.receive_once(_LONG_POLL_S if self.trouble is None else 0.0)
            except Exception as error:
                self._back_off(error)
            else:
                self.trouble = None
                self._outage.succeeded()
        self._source.close()

    def _back_off(self, error: Exception) -> None:
        if self._stop.is_set():
            return  # a poll that outlasts its waiter may break off; nobody is waiting for it
        self.trouble = (
            error
            if isinstance(error, MediaBrokerError)
            else MediaBrokerError(f"{type(error).__name__} in the receive loop of {self.url}")
        )
        self._clock.wait(self._stop, self._outage.failed(error))
