"""What the contract suite has to know about one provider: how to make it, and how to bring a job to each state."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.jobs import JobSpec
from mediabroker.registry import create_provider
from mediabroker.spi import Member, MemberStatus, Observation, Provider, SubmitContext
from mediabroker.states import JobState
from mediabroker.testing.driver import Driver, new_context

__all__ = ["Rig", "Started", "attempt_of", "start", "watch"]

_PAUSE_S = 0.02


@dataclass(frozen=True)
class Started:
    """A job that the provider has accepted."""

    spec: JobSpec[Any]
    ctx: SubmitContext
    members: tuple[Member, ...]


class Rig(ABC):
    """One account of one vendor (or its simulator), for one test. Subclass it, and hand it to `ProviderContract`.

    `kind` is the cheapest kind to run; most checks use it. `type` is the provider's entry point and `settings` its
    settings as JSON values, so that another process can make the same provider. `secret` is a credential among them
    that must show up nowhere. `idempotent_creates` says that the vendor itself answers a repeated token with the job it
    already has. `unreachable` gives the reason for each state that the vendor never shows,
    `uncancellable` for each state in which it stops no job although it can stop others.
    """

    type: ClassVar[str]
    kind: ClassVar[str]
    secret: ClassVar[str | None] = None
    idempotent_creates: ClassVar[bool] = False
    has_callbacks: ClassVar[bool] = False
    uncancellable: ClassVar[Mapping[JobState, str]] = {}
    patience_s: ClassVar[float] = 60.0
    unreachable: ClassVar[Mapping[JobState, str]] = {}
    settings: Mapping[str, JsonValue]

    def open(self) -> Provider:
        """A new provider object on this account."""
        return create_provider(f"{self.type}-under-test", self.type, self.settings)

    @abstractmethod
    def spec(self, kind: str) -> JobSpec[Any]:
        """A new, small request of that kind that will succeed, with an output of its own."""

    @abstractmethod
    def arrange(self, driver: Driver, state: JobState) -> Started:
        """A new job, submitted through the driver and brought to `state`; QUEUED and RUNNING last for the test."""

    @abstractmethod
    def count_jobs(self) -> int:
        """How many jobs the vendor holds, whoever started them."""

    @abstractmethod
    def unknown_id(self) -> str:
        """A native id of the right form that names no job."""

    def nudge(self, started: Started) -> None:  # noqa: B027  a hook: real vendors move by themselves
        """Let a job take its next step; called between two looks at a job that is waited for."""

    def inexpressible(self) -> Sequence[JobSpec[Any]]:
        """Requests of its kinds and schemes that the provider must refuse itself; each raises `UnsupportedError`."""
        return ()

    def refusals(self, driver: Driver) -> Sequence[Callable[[], object]]:  # noqa: ARG002  a hook
        """Actions on the wire that the vendor refuses, each ending in a `ProviderError`."""
        return ()

    def messages(self, started: Started) -> Sequence[Mapping[str, JsonValue]]:  # noqa: ARG002  a hook
        """Callbacks that the vendor sends about this job, if it `has_callbacks`."""
        return ()

    def close(self) -> None:  # noqa: B027  a hook
        """Stop whatever still runs."""


def start(driver: Driver, spec: JobSpec[Any], ctx: SubmitContext | None = None) -> Started:
    """Submit a request through the driver."""
    context = ctx or new_context(spec)
    submitted = driver.run(driver.provider.submit(spec, None, context))
    return Started(spec, context, submitted.members)


def attempt_of(driver: Driver, started: Started) -> Observation:
    """What one query says of the whole attempt: its members' observations, folded by the provider."""
    seen = {each.native_id: each for each in driver.run(driver.provider.query(started.members))}
    return driver.provider.fold([_status(member, seen[member.native_id]) for member in started.members])


def watch(
    rig: Rig, driver: Driver, started: Started, until: Callable[[JobState], bool] = lambda state: state.is_terminal
) -> list[Observation]:
    """Look at a job until its state is the one waited for; everything seen on the way, the last look last.

    Raises:
        AssertionError: the job did not get there within `patience_s`; what was seen is in the message.
    """
    give_up_at_s = time.monotonic() + rig.patience_s
    seen = [attempt_of(driver, started)]
    while not until(_state(seen[-1])):
        if time.monotonic() > give_up_at_s:
            raise AssertionError(f"{started.spec.kind} did not get there in {rig.patience_s:g} s; last seen {seen[-1]}")
        rig.nudge(started)
        time.sleep(_PAUSE_S)
        seen.append(attempt_of(driver, started))
    return seen


def _state(observation: Observation) -> JobState:
    return observation.state or JobState.QUEUED


def _status(member: Member, seen: Observation) -> MemberStatus:
    return MemberStatus(
        member=member,
        state=_state(seen),
        phase=seen.phase,
        progress=seen.progress,
        frames=seen.frames,
        error=seen.error,
        result=seen.result,
        raw=seen.raw,
    )
