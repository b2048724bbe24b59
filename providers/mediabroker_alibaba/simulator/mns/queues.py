"""One simulated queue: messages that are hidden, come back, and are held by one receipt at a time.

Source: MNS, API reference, `ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`, "Limits".
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import random
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Condition, Event

from mediabroker.clock import Clock
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError

__all__ = ["LIMITS", "Chaos", "Message", "SimulatedQueue", "within_limits"]

LIMITS: Mapping[str, tuple[int, int, int]] = {
    "VisibilityTimeout": (1, 43_200, 30),
    "MaximumMessageSize": (1024, 65_536, 65_536),
    "MessageRetentionPeriod": (60, 604_800, 345_600),
    "DelaySeconds": (0, 604_800, 0),
    "PollingWaitSeconds": (0, 30, 0),
}
"""Of a queue's attributes: least, most, default. Source: MNS, `CreateQueue`."""

_RECEIPT = re.compile(r"\d+-[A-Za-z0-9+/]{32}")
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Chaos:
    """How bad the queues are, as probabilities from 0 to 1; their contract allows all of it but `drop`.

    `duplicate` and `drop` strike when a message comes in; `delete_fails` refuses an entry and keeps it; `ghost` says
    "deleted" and brings the message back; `shuffle` forgets order and priority. `delay_s` hides every new message.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    shuffle: bool = False
    delay_s: float = 0.0
    delete_fails: float = 0.0
    ghost: float = 0.0


@dataclass(eq=False)
class Message:
    """A stored message. `*_s` are seconds of the clock, `*_ms` Unix milliseconds."""

    id: str
    body: str
    priority: int
    number: int
    enqueued_s: float
    enqueued_ms: int
    visible_s: float
    properties: Tree = field(default_factory=dict)
    receipt: str = ""
    next_visible_ms: int = 0
    first_dequeued_ms: int = 0
    dequeue_count: int = 0

    @property
    def body_md5(self) -> str:
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest().upper()


class SimulatedQueue:
    """Thread-safe. Errors are `MnsRefusedError`s.

    Args:
        attributes: by the service's names; each within its limits.
        stopping: ends long polls early.
    """

    def __init__(self, name: str, attributes: Mapping[str, int], clock: Clock, stopping: Event, seed: int = 0) -> None:
        self.name = name
        self.attributes = {each: default for each, (_, _, default) in LIMITS.items()} | dict(attributes)
        self.logging = False
        self.chaos = Chaos()
        self.changed = Condition()
        self.created_ms = self.modified_ms = int(clock.now().timestamp() * 1000)
        self._clock = clock
        self._stopping = stopping
        self._messages: list[Message] = []
        self._numbers = itertools.count(1)
        self._random = random.Random(seed)  # noqa: S311  faults are to be repeatable

    def send(
        self, body: str, *, priority: int = 8, delay_s: int | None = None, properties: Tree | None = None
    ) -> Message:
        """Put a message in; one that is delayed has a receipt from the beginning."""
        if len(body.encode()) > self.attributes["MaximumMessageSize"]:
            raise MnsRefusedError(
                "InvalidArgument", "The length of message should not be larger than MaximumMessageSize."
            )
        hidden_s = (self.attributes["DelaySeconds"] if delay_s is None else delay_s) + self.chaos.delay_s
        with self.changed:
            copies = 0 if self._strikes(self.chaos.drop) else 1 + self._strikes(self.chaos.duplicate)
            message = self._made(body, priority, hidden_s, properties or {})
            # A duplicate is a second delivery of the same message, not another message.
            self._messages += [message, replace(message)][:copies]
            self.changed.notify_all()
        return message

    def _made(self, body: str, priority: int, hidden_s: float, properties: Tree) -> Message:
        now_s, now_ms = self._clock.monotonic_s(), self._now_ms()
        receipt = _new_receipt(priority) if hidden_s else ""
        number = next(self._numbers)
        return Message(
            secrets.token_hex(16).upper(), body, priority, number, now_s, now_ms, now_s + hidden_s, properties, receipt
        )

    def receive(self, count: int, wait_s: float | None) -> list[Message]:
        """Up to `count` messages, each hidden under a new receipt, as they were at that moment; waits for the first."""
        end_s = self._clock.monotonic_s() + (self.attributes["PollingWaitSeconds"] if wait_s is None else wait_s)
        with self.changed:
            while not (found := self._visible()[:count]) and not self._stopping.is_set():
                left_s = end_s - self._clock.monotonic_s()
                if left_s <= 0:
                    raise MnsRefusedError("MessageNotExist")
                # Neither a jump of the clock nor a visibility time that ends notifies anybody.
                self.changed.wait(min(left_s, _LOOK_EVERY_S))
            if not found:
                raise MnsRefusedError("MessageNotExist")
            return [self._handed_out(each) for each in found]

    def _handed_out(self, message: Message) -> Message:
        message.dequeue_count += 1
        message.first_dequeued_ms = message.first_dequeued_ms or self._now_ms()
        self._hide(message, self.attributes["VisibilityTimeout"])
        return replace(message)

    def peek(self, count: int) -> list[Message]:
        """Up to `count` visible messages, left as they are."""
        with self.changed:
            if not (found := self._visible()[:count]):
                raise MnsRefusedError("MessageNotExist")
            return [replace(each) for each in found]

    def delete(self, receipt: str) -> None:
        """Remove the delivery that the receipt holds."""
        with self.changed:
            message = self._held_by(receipt)
            if self._strikes(self.chaos.delete_fails):
                raise MnsRefusedError("InternalError")
            if not self._strikes(self.chaos.ghost):
                self._messages.remove(message)

    def change_visibility(self, receipt: str, visibility_s: int) -> Message:
        """Hide a received message for so long from now on, under a new receipt."""
        with self.changed:
            message = self._held_by(receipt)
            self._hide(message, visibility_s)
            self.changed.notify_all()
            return replace(message)

    def counts(self) -> tuple[int, int, int]:
        """Messages that can be received, that are received and hidden, and that are delayed."""
        with self.changed:
            self._expire()
            now_s = self._clock.monotonic_s()
            hidden = [each for each in self._messages if each.visible_s > now_s]
            received = sum(1 for each in hidden if each.dequeue_count)
            return len(self._messages) - len(hidden), received, len(hidden) - received

    def _hide(self, message: Message, hidden_s: int) -> None:
        message.receipt = _new_receipt(message.priority)
        message.visible_s = self._clock.monotonic_s() + hidden_s
        message.next_visible_ms = self._now_ms() + hidden_s * 1000

    def _held_by(self, receipt: str) -> Message:
        if not _RECEIPT.fullmatch(receipt):
            raise MnsRefusedError("ReceiptHandleError")
        self._expire()
        now_s = self._clock.monotonic_s()
        for message in self._messages:
            if secrets.compare_digest(message.receipt, receipt) and message.visible_s > now_s:
                return message
        raise MnsRefusedError("MessageNotExist")

    def _visible(self) -> list[Message]:
        self._expire()
        now_s = self._clock.monotonic_s()
        found = [each for each in self._messages if each.visible_s <= now_s]
        if self.chaos.shuffle:
            self._random.shuffle(found)
            return found
        return sorted(found, key=lambda each: (each.priority, each.number))

    def _expire(self) -> None:
        oldest_s = self._clock.monotonic_s() - self.attributes["MessageRetentionPeriod"]
        self._messages = [each for each in self._messages if each.enqueued_s >= oldest_s]

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _strikes(self, probability: float) -> bool:
        return self._random.random() < probability


def _new_receipt(priority: int) -> str:
    # Full of `+` and `/`, as the real ones: whoever escapes or decodes them wrongly finds out.
    return f"{priority}-{base64.b64encode(secrets.token_bytes(24)).decode()}"


def within_limits(given: Mapping[str, str], names: Iterable[str]) -> dict[str, int]:
    """The attributes as numbers.

    Raises:
        MnsRefusedError: one is no number, or outside its limits.
    """
    found = {}
    for name in names:
        if name not in given:
            continue
        least, most, _ = LIMITS[name]
        if not given[name].isdecimal() or not least <= int(given[name]) <= most:
            raise MnsRefusedError("InvalidArgument", f"The value of {name} should be between {least} and {most}.")
        found[name] = int(given[name])
    return found
