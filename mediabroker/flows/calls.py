"""Conversations with a vendor as data: a flow yields `Call`s and receives replies, and its driver performs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import JsonValue

from mediabroker.errors import ProviderError, SubmissionUnknownError

__all__ = ["Call", "Effect", "Flow", "Reply", "Transport", "ask", "drive"]

T = TypeVar("T")
R = TypeVar("R")

Effect = Literal["read", "create", "cancel"]
Reply: TypeAlias = Mapping[str, JsonValue]
"""A vendor's answer as plain JSON values."""


def _as_is(reply: Reply) -> Any:
    return reply


@dataclass(frozen=True)
class Call(Generic[R]):
    """One request to a vendor, as data.

    Args:
        service: which of the provider's transports performs it.
        operation: the vendor's own name of the operation.
        params: the request, without secrets, clock values or signed URLs.
        effect: `create` starts something that costs money; it is journalled before it is sent.
        step: names a `create` within its flow; part of its token.
        read: turns the reply into what the flow wants. For a `create` it must raise on a reply without a well-formed
            id: such a reply counts as "outcome unknown".
        stand_in: the reply that `plan()` feeds instead of performing a `create`; placeholders look like `<run.jobId>`.
    """

    service: str
    operation: str
    params: Mapping[str, JsonValue]
    effect: Effect = "read"
    step: str = ""
    read: Callable[[Reply], R] = field(default=_as_is, compare=False, repr=False)
    stand_in: Reply = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.effect == "create" and not self.step:
            raise ValueError(f"{self.operation}: a create names its step, so that its token is its own")

    @property
    def identity(self) -> tuple[str, str, Effect, str]:
        """Which call of its flow it is, whatever its parameters."""
        return self.service, self.operation, self.effect, self.step

    @property
    def digest(self) -> str:
        """Digest of all that makes this call this call; a replay must come to the same one."""
        content = [*self.identity, self.params]
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


Flow: TypeAlias = Generator[Call[Any], Reply, T]


def ask(call: Call[R]) -> Flow[R]:
    """Yield one call and read its reply: `n = yield from ask(probe(...))`."""
    return call.read((yield call))


def drive(flow: Flow[T], answer: Callable[[Call[Any]], Reply]) -> T:
    """Run a flow to its end; `answer` says what each call comes to.

    A refusal is thrown into the flow, which may mend it or clean up. An unknown outcome never enters it: it ends the
    drive, like every error that is no refusal.
    """
    try:
        call = next(flow)
        while True:
            try:
                reply = answer(call)
            except SubmissionUnknownError:
                raise
            except ProviderError as refusal:
                call = flow.throw(refusal)
            else:
                call = flow.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


class Transport(Protocol):
    """The only I/O: performs a call and returns the vendor's reply.

    Raises:
        ProviderError: the vendor refused, or no byte was sent: the call had no effect.
        Exception: anything else, `SubmissionUnknownError` among it, means that the outcome of a `create` is unknown.
    """

    def perform(self, call: Call[Any]) -> Reply: ...

    def close(self) -> None: ...
