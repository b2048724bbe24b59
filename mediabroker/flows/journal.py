"""What the engine remembers of an attempt's calls: one `Entry` for each, kept by a `Journal`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import JsonValue

from mediabroker.errors import ProviderError
from mediabroker.flows.calls import Call, Effect, Reply

__all__ = ["Entry", "Journal", "Status"]

Status = Literal["sent", "unsent", "accepted", "refused"]
"""`sent`: on its way, or its outcome is unknown. `unsent`: it had no effect and may be sent again."""

_ERROR_FIELDS = ("provider", "operation", "provider_code", "request_id", "retryable", "retry_after_s", "raw")


@dataclass(frozen=True)
class Entry:
    """One journalled call, as it was when it was first sent, and what became of it.

    `searched_at` is when a search first came back empty: only a second one, a settle time later, allows another send.
    """

    ordinal: int
    service: str
    operation: str
    params: Mapping[str, JsonValue]
    effect: Effect
    step: str
    status: Status = "sent"
    reply: Reply | None = None
    error: Mapping[str, Any] | None = None
    sends: int = 1
    sent_at: datetime | None = None
    searched_at: datetime | None = None
    call: Call[Any] = field(init=False, repr=False, compare=False)
    """The call without its `read`."""

    def __post_init__(self) -> None:
        call: Call[Any] = Call(self.service, self.operation, self.params, self.effect, self.step)
        object.__setattr__(self, "call", call)

    @classmethod
    def of(cls, ordinal: int, call: Call[Any], *, sent_at: datetime) -> Entry:
        """Return the entry of a call that is about to be sent for the first time."""
        return cls(ordinal, call.service, call.operation, dict(call.params), call.effect, call.step, sent_at=sent_at)

    @property
    def may_be_at_vendor(self) -> bool:
        """Whether the vendor may have started something for it."""
        return self.effect == "create" and self.status in ("sent", "accepted")

    def refusal(self) -> ProviderError:
        """Return the journalled refusal as the error it was: flows may distinguish refusals by class."""
        fields = dict(self.error or {})
        name, message = fields.pop("type", ""), fields.pop("message", "")
        cls = next((each for each in _subclasses(ProviderError) if each.__name__ == name), ProviderError)
        return cls(message, **fields)


def stored_error(error: Exception) -> dict[str, Any]:
    """Return an error as plain values, from which `Entry.refusal` makes it again."""
    details = {name: getattr(error, name, None) for name in _ERROR_FIELDS} if isinstance(error, ProviderError) else {}
    return {"type": type(error).__name__, "message": str(error), **details}


def _subclasses(cls: type[ProviderError]) -> list[type[ProviderError]]:
    return [cls, *(deeper for direct in cls.__subclasses__() for deeper in _subclasses(direct))]


class Journal(Protocol):
    """Keeps the entries of one attempt. A journal may delay what it is given, but never beyond the next `begin`.

    Raises:
        Exception: of any method, where another process drives the attempt: this one must stop and change nothing.
    """

    def recall(self, ordinal: int, call: Call[Any]) -> Entry | None:
        """Return the entry with that place in the flow, if there is one."""
        ...

    def begin(self, entry: Entry) -> None:
        """Store, durably for a `create`, that the entry's call is about to be sent.

        Raises:
            StopRequestedError: a `create`, while the job is to be stopped: it must not be sent.
            HoldError: another process sends it.
        """
        ...

    def check_stop(self) -> None:
        """Raise `StopRequestedError` while the job is to be stopped."""
        ...

    def record(self, entry: Entry) -> None:
        """Store what became of the entry's call."""
        ...

    def entries(self) -> list[Entry]:
        """Return all entries, in the order of the flow."""
        ...
