"""The class that a vendor's package derives from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.errors import JobError, ProviderError, UnsupportedError
from mediabroker.flows import Call, Flow, Reply, Transport
from mediabroker.jobs import JobSpec
from mediabroker.spi.capabilities import CancelOutcome, Capabilities, ProviderOptions
from mediabroker.spi.members import (
    Member,
    MemberStatus,
    Observation,
    Recovered,
    SubmitContext,
    Submitted,
    fold_members,
)

__all__ = ["Provider"]


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
