"""What a submit would do, without doing it: the same flow, its reads performed, its creates replaced by stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from mediabroker.broker.core import Core
from mediabroker.broker.route import Rejection, choose, options_for
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.spi import Call, ProviderOptions, Reply, SubmitContext, drive

__all__ = ["Plan", "PlannedCall", "plan"]


class PlannedCall(Value, frozen=True):
    """One call that a submit would make, in order. Placeholders stand for what only the vendor can tell."""

    service: str
    operation: str
    effect: str
    step: str
    params: Mapping[str, JsonValue]


class Plan(Value, frozen=True):
    """The choice, everyone who was passed over with the reason, and the literal vendor calls."""

    provider: str
    rejected: tuple[Rejection, ...]
    staging_bytes: int
    """Bytes the broker itself would move before the job can start."""
    calls: tuple[PlannedCall, ...]


def plan(
    core: Core, spec: JobSpec[Any], *, among: str | Sequence[str] | None, options: Sequence[ProviderOptions]
) -> Plan:
    """The plan for `spec`; raises what a submit would raise before it stores anything."""
    provider, rejected = choose(core.fleet, spec, among=among, options=options)
    context = SubmitContext(job_id="<job>", attempt=1, token="<token>", input=spec.input, output=spec.output)  # noqa: S106
    flow = provider.submit(spec, options_for(provider, options), context)
    calls: list[PlannedCall] = []

    def answer(call: Call[Any]) -> Reply:
        calls.append(_described(call))
        return core.perform(provider.name, call) if call.effect == "read" else call.stand_in

    drive(flow, answer)
    return Plan(provider=provider.name, rejected=rejected, staging_bytes=0, calls=tuple(calls))


def _described(call: Call[Any]) -> PlannedCall:
    return PlannedCall(
        service=call.service, operation=call.operation, effect=call.effect, step=call.step, params=call.params
    )
