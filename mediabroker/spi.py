"""What a plug-in is. A provider holds conversations; it does no I/O.

Its methods are generators that yield `Call`s and receive replies, as `httpx.Auth.auth_flow` does. Whoever drives them
(the broker, `plan()`, a test) decides what a call does, so one source serves sync and async, a crash is healed by
replaying the generator over the journal, and a test needs no patching.

Rules for authors: be deterministic given the replies; do no I/O; give every `create` a token (`ctx.token_of(step)`) in
a place where the vendor lets you find it; put no secret, clock value or signed URL into `params`, for they are stored
and printed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, SerializeAsAny, field_validator

from mediabroker.absent import Absent
from mediabroker.errors import JobError, ProviderError, UnsupportedError
from mediabroker.flows import Call, Effect, Flow, Reply, Transport, ask, drive
from mediabroker.jobs import JobSpec
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.models import Value
from mediabroker.objects import ObjectStat, ObjectStore
from mediabroker.redaction import redact_value
from mediabroker.refs import MediaURI, Scheme
from mediabroker.results import Frames, JobResult
from mediabroker.sandbox import Sandbox
from mediabroker.states import JobState, fold_states

__all__ = [
    "Call",
    "CancelOutcome",
    "Capabilities",
    "Effect",
    "EventSource",
    "Flow",
    "InboundMessage",
    "Member",
    "MemberStatus",
    "ObjectStat",
    "ObjectStore",
    "Observation",
    "Origin",
    "Provider",
    "ProviderOptions",
    "RateLimit",
    "Recovered",
    "Reply",
    "Sandbox",
    "SubmitContext",
    "Submitted",
    "Transport",
    "ask",
    "drive",
]


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


class Origin(Value, frozen=True):
    """What travels with a vendor's job in tags, environment or user data, so that any host can take the job over.

    The token is derived from the job id and the attempt's number. What a message says of it is only a hint.
    """

    job_id: str
    kind: str
    token: str
    attempt: int = 1
    output: MediaURI | None = None
    deliver_to: MediaURI | None = None
    """Where the broker takes the output in the end, where the vendor writes it somewhere else."""
    overwrite: bool = False
    user_data: JsonValue = None


class SubmitContext(Value, frozen=True):
    """What the broker adds to a spec: identity, the staged input, and where to write."""

    job_id: str
    attempt: int
    token: str
    """Lower-case letters and digits, unique to the attempt, stable across crashes."""
    input: MediaURI
    output: MediaURI | None = None
    deliver_to: MediaURI | None = None
    """Where the broker copies the output in the end, where that is not `output`."""
    sent_at: datetime | None = None
    """For `find` alone: when the call was first sent, aware UTC."""
    hints: tuple[str, ...] = ()
    """For `find` alone: native ids that callbacks with this attempt's token have named; a hint is no proof."""

    def token_of(self, step: str) -> str:
        """The token of one `create` inside the attempt."""
        return f"{self.token}-{step}"

    def origin(self, spec: JobSpec[Any]) -> Origin:
        """What to send along with each vendor job, where the vendor keeps such things."""
        return Origin(
            job_id=self.job_id,
            kind=spec.kind,
            token=self.token,
            attempt=self.attempt,
            output=self.output,
            deliver_to=self.deliver_to,
            overwrite=spec.overwrite if self.deliver_to else False,
            user_data=spec.user_data,
        )


class Member(Value, frozen=True):
    """One vendor job inside an attempt. Members that are not `required` only feed progress.

    `absent` says why there is no vendor job; `native_id` is then any name that no other member of the attempt has.
    """

    role: str
    native_id: str
    required: bool = True
    output: MediaURI | None = None
    absent: Absent | None = None


class Recovered(Value, frozen=True):
    """An attempt that another host has submitted, as the vendor's own answers describe it.

    `proof` says what confirms the origin. `vendor`: the account or service that this provider is configured for.
    `token`: it was read from a place that the message named, such as a bucket that the sender may own; the broker then
    adopts the job only if the token was made under its key.
    """

    origin: Origin
    members: tuple[Member, ...]
    proof: Literal["vendor", "token"] = "vendor"


class Submitted(Value, frozen=True):
    """All vendor jobs of an attempt, accepted."""

    members: tuple[Member, ...]


class Observation(Value, frozen=True):
    """What the vendor says of one vendor job, in our words.

    `state=None` keeps the state: the vendor's word is in no table and becomes `phase`. `vendor_attempt` counts the
    vendor's own retries and `sub_rank` orders words within one state. `progress` runs from 0 to 1.
    """

    native_id: str
    state: JobState | None = None
    phase: str | None = None
    hold_reason: str | None = None
    """Why the vendor does not go on with it, where the vendor says so."""
    vendor_attempt: int = 0
    sub_rank: int = 0
    progress: float | None = None
    frames: Frames | None = None
    error: JobError | None = None
    result: SerializeAsAny[JobResult] | None = None
    not_found: bool = False
    token: str | None = None
    """Of a callback: the attempt's token, where the message bears it. It finds the job before its ids are stored."""
    origin: Origin | None = None
    """Of an answer: the job's origin as the vendor keeps it. Of a callback: what the message claims, never believed."""
    raw: JsonValue = None

    @field_validator("phase", "hold_reason", "raw", mode="before")
    @classmethod
    def _without_secrets(cls, said: Any) -> Any:
        return redact_value(said)


class MemberStatus(Value, frozen=True):
    """A member with the merged truth about it."""

    member: Member
    state: JobState
    phase: str | None = None
    hold_reason: str | None = None
    progress: float | None = None
    frames: Frames | None = None
    error: JobError | None = None
    result: SerializeAsAny[JobResult] | None = None
    raw: JsonValue = None

    @property
    def required(self) -> bool:
        return self.member.required


class Provider(ABC):
    """One configured instance of a vendor's service. Thread-safe; holds settings, no job state.

    `name` is the instance's name in the configuration, `type` the plug-in's. `account` and `region` become part of
    every job reference.
    """

    type: ClassVar[str]

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.settings = settings
        self.account: str | None = None
        self.region: str | None = None

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this instance can do."""

    @abstractmethod
    def connect(self, service: str) -> Transport:
        """A transport that performs calls of `service`; the broker keeps one per service and closes it."""

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:  # noqa: ARG002  a hook
        """Refuse what cannot be expressed, before anything is stored or sent.

        Raises:
            UnsupportedError: names the field, its value and the alternatives.
            MissingDependencyError: names the command that installs what the kind needs here.
        """
        able = self.capabilities()
        if spec.kind not in able.kinds:
            raise UnsupportedError(f"{self.name} does not run {spec.kind}; it runs {', '.join(able.kinds)}")
        if spec.input.scheme not in able.input_schemes:
            raise UnsupportedError(f"{self.name} does not read {spec.input.scheme}:// (input {spec.input})")
        if spec.output is not None and spec.output.scheme not in able.output_schemes:
            raise UnsupportedError(f"{self.name} does not write {spec.output.scheme}:// (output {spec.output})")

    @abstractmethod
    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        """Start the attempt: reads, then every `create` under its token."""

    @abstractmethod
    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        """One observation per member, in any order; a missing id is `not_found`."""

    def query_group(self, member: Member) -> str:  # noqa: ARG002  a hook
        """Return what members must have in common to share one call of `query`."""
        return ""

    @abstractmethod
    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        """Ask the vendor to stop; also of a half-submitted attempt."""

    def finish(self, members: Sequence[MemberStatus]) -> Flow[None]:  # noqa: ARG002  a hook
        """Put in place what can only be made when all members have succeeded, before the outputs are looked at.

        Called once or more for an attempt, so its calls replace what an earlier one has written.
        """
        yield from ()

    def forget(self, members: Sequence[Member]) -> Flow[None]:  # noqa: ARG002  a hook
        """Remove what the provider keeps of finished jobs; the broker calls it when it prunes them."""
        yield from ()

    def settle_time_s(self, call: Call[Any]) -> float | None:  # noqa: ARG002  a hook
        """How long what this `create` started may stay invisible to `find`; None: it cannot be searched for."""
        return self.capabilities().settle_time_s

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        """The replies that the `create` would have had, found by its token, the earliest first.

        Called when it has a settle time; without one, when there are `ctx.hints` to look at.
        """
        raise NotImplementedError(f"{self.name} declares a settle time but no find()")

    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        """The attempt as one observation; pure."""
        return fold_members(members)

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:  # noqa: ARG002  a hook
        """What a callback says; pure. None: not one of this instance's, by service, account or region.

        An empty list: one of this instance's that speaks of no job, such as a probe of its own or work that was started
        without this SDK. It is passed over.

        `message` is what the vendor's service wrote, without the envelopes of the queues it passed through. No word
        of it becomes a state: it tells the broker which jobs to ask for.
        """
        return None

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        """Ask the vendor for the attempt that a callback speaks of; None: it is not there, or cannot be told yet.

        Anybody may write into a queue. So nothing but `seen.native_id` may be taken from the callback, to ask for;
        origin and members come from the answers. The default suits providers that start one vendor job per attempt,
        and whose `query` tells its `origin`.
        """
        answers = yield from self.query([Member(role="job", native_id=seen.native_id)])
        told = next((each.origin for each in answers if each.native_id == seen.native_id), None)
        if told is None:
            return None
        return Recovered(origin=told, members=(Member(role="job", native_id=seen.native_id, output=told.output),))

    @abstractmethod
    def classify(self, failure: ProviderError) -> JobError:
        """The job error that a refused call amounts to; table-driven."""


def fold_members(members: Sequence[MemberStatus]) -> Observation:
    """The default fold: the state of `fold_states`, mean progress, the first failure, all outputs in order."""
    required = [status for status in members if status.required]
    state = fold_states(members)
    blamed = next((status for status in required if status.state is state and status.error), None)
    busiest = max(required, key=lambda status: status.state.rank, default=None)
    known = [status.progress for status in members if status.progress is not None]
    results = [status.result for status in required if status.result is not None]
    return Observation(
        native_id=required[-1].member.native_id if required else "",
        state=state,
        phase=busiest.phase if busiest else None,
        hold_reason=next((each.hold_reason for each in members if each.hold_reason), None),
        progress=sum(known) / len(known) if known else None,
        frames=busiest.frames if busiest else None,
        error=blamed.error if blamed else None,
        result=_joined(results),
        raw=(blamed or busiest).raw if busiest else None,
    )


def _joined(results: Sequence[JobResult]) -> JobResult | None:
    if len(results) <= 1:
        return results[0] if results else None
    outputs = tuple(output for result in results for output in result.outputs)
    items = tuple(item for result in results for item in result.items)
    return results[0].model_copy(update={"outputs": outputs, "items": items})
