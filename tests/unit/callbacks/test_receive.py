"""The receive loop of one source."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import pytest

from mediabroker.callbacks.receive import Receiver
from mediabroker.clock import SystemClock
from mediabroker.errors import UnavailableError
from mediabroker.messages import InboundMessage


class Held:
    """A source whose long poll breaks off when it is told to."""

    url = "queue://held"

    def __init__(self) -> None:
        self.polling, self.break_off, self.closed = Event(), Event(), Event()

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        self.polling.set()
        self.break_off.wait(60)
        raise UnavailableError("the server went away", provider="held", operation="receive")

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        return []

    def release(self, messages: Sequence[InboundMessage], *, delay_s: float = 0.0) -> None:
        return None

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("stopped", [True, False])
def test_poll_that_breaks_off_is_told_unless_the_loop_was_stopped(
    stopped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source = Held()
    receiver = Receiver(source, lambda messages: [True] * len(messages), SystemClock())
    receiver.start()
    assert source.polling.wait(60)
    if stopped:
        receiver.stop()
    source.break_off.set()
    while not stopped and receiver.trouble is None:
        source.closed.wait(0.01)
    receiver.stop()
    assert source.closed.wait(60)
    assert ("out of order" in caplog.text) is not stopped
