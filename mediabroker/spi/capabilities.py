"""What a provider declares of itself: what it can do, how fast it may be called, which options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from mediabroker.flows import Call
from mediabroker.models import Value
from mediabroker.refs import Scheme

__all__ = ["CancelOutcome", "Capabilities", "ProviderOptions", "RateLimit"]


class CancelOutcome(str, Enum):
    """What a cancel truthfully came to."""

    CANCELLED = "CANCELLED"
    REQUESTED = "REQUESTED"
    TOO_LATE = "TOO_LATE"
    UNSUPPORTED = "UNSUPPORTED"

    def __str__(self) -> str:
        return self.value


class ProviderOptions(Value, frozen=True):
    """What only one provider understands, typed. `extra` is the visible hatch: merged last, shown by `plan()`."""

    provider: ClassVar[str]
    """The provider *type* these options belong to (the entry point's name)."""

    on_unknown: Literal["hold", "resubmit"] = "hold"
    """What becomes of a `create` whose outcome is unknown and cannot be searched for: wait visibly until a callback
    names its job, or send it once more, which may start a second job; that is logged and kept with the job."""
    extra: Mapping[str, JsonValue] = {}


class RateLimit(Value, frozen=True):
    """How many calls a second a vendor grants an account; the broker keeps to it."""

    service: str
    """The calls' `service`."""
    per_s: float = Field(gt=0)
    operations: tuple[str, ...] = ()
    """For these together; empty: for all of the service."""

    def holds_for(self, call: Call[Any]) -> bool:
        """Whether the call counts."""
        return call.service == self.service and (not self.operations or call.operation in self.operations)


class Capabilities(Value, frozen=True):
    """What a provider can do, declared once: early refusal, the contract suite and the docs table read it.

    `settle_time_s` is how long an accepted job may stay invisible to `find`; `None` means it cannot be searched at all.
    Where that differs from call to call, `Provider.settle_time_s` says so.
    `flow_version` changes whenever `submit` would yield other calls for the same request.
    """

    kinds: tuple[str, ...]
    input_schemes: frozenset[Scheme]
    output_schemes: frozenset[Scheme]
    options: type[ProviderOptions] | None = None
    cancel: bool = True
    progress: bool = True
    settle_time_s: float | None = 0.0
    poll_interval_s: float = 5.0
    """How often a waiting client asks at most, in seconds."""
    query_batch: int = 100
    """Members in one `query` call at most."""
    lost_after_s: float = 3600.0
    """How long a job must stay unknown to the vendor, in two answers at least, before it counts as lost."""
    flow_version: int = 1
    rates: tuple[RateLimit, ...] = ()
    """Calls that come sooner wait for their turn; each process keeps to it for itself."""
    limits: Mapping[str, str] = {}
    """Documented limits for people: name and text."""
