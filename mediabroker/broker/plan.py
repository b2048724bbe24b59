"""What a submit would do, without doing it: the same flow, its reads performed, its creates replaced by stand-ins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from mediabroker.broker.attempt.carrying import size_of
from mediabroker.broker.attempt.choosing import Rejection, choose, options_for
from mediabroker.broker.attempt.intent import check_input
from mediabroker.broker.attempt.limits import Limits
from mediabroker.broker.attempt.placement import placed
from mediabroker.broker.core import Core
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, ProviderOptions, Reply, SubmitContext, drive
from mediabroker.store.records import Placement

__all__ = ["Plan", "PlannedCall", "PlannedTransfer", "plan"]

_TOKEN = "<token>"  # noqa: S105  a placeholder


class PlannedCall(Value, frozen=True):
    """One call that a submit would make, in order. Placeholders stand for what only the vendor can tell."""

    service: str
    operation: str
    effect: str
    step: str
    params: Mapping[str, JsonValue]


class PlannedTransfer(Value, frozen=True):
    """What the broker itself would copy; the size of an output is not known before it is there."""

    source: MediaURI
    target: MediaURI
    size_bytes: int | None = None


class Plan(Value, frozen=True):
    """The choice, everyone who was passed over with the reason, what would be copied, and the literal vendor calls."""

    provider: str
    followers: tuple[str, ...] = ()
    """Who would be next, in order, if the attempt failed for a reason that they need not share."""
    rejected: tuple[Rejection, ...]
    staging_bytes: int
    """Bytes the broker itself would move before the job can start."""
    transfers: tuple[PlannedTransfer, ...] = ()
    calls: tuple[PlannedCall, ...]
    open_end: str | None = None
    """Why further calls cannot be told, where that is so."""


def plan(
    core: Core,
    spec: JobSpec[Any],
    *,
    among: str | Sequence[str] | None,
    options: Sequence[ProviderOptions],
    limits: Limits,
) -> Plan:
    """The plan for `spec`; raises what a submit would raise before it stores anything."""
    choice = choose(core, spec, among=among, options=options, limits=limits)
    check_input(core, spec)
    transfers = _transfers(core, spec, choice.placement)
    seen = placed(spec, choice.placement)
    context = SubmitContext(
        job_id="<job>",
        attempt=1,
        token=_TOKEN,
        input=seen.input,
        output=seen.output,
        deliver_to=choice.placement.target,
    )
    flow = choice.provider.submit(seen, options_for(choice.provider, options), context)
    calls: list[PlannedCall] = []

    def answer(call: Call[Any]) -> Reply:
        calls.append(_described(call))
        if call.effect != "read":
            return call.stand_in
        if choice.placement.input is not None and f"{_TOKEN}/in/" in json.dumps(call.params):
            raise _NotYetThereError(f"the rest depends on what {call.operation} finds in the staged input")
        return core.caller.perform(choice.provider, call)

    open_end = None
    try:
        drive(flow, answer)
    except _NotYetThereError as stop:
        open_end = str(stop)
    return Plan(
        provider=choice.provider.name,
        followers=tuple(each for each in choice.route.providers if each != choice.provider.name),
        rejected=choice.rejected,
        staging_bytes=sum(each.size_bytes or 0 for each in transfers),
        transfers=transfers,
        calls=tuple(calls),
        open_end=open_end,
    )


class _NotYetThereError(Exception):
    """A read of what would have to be staged first."""


def _transfers(core: Core, spec: JobSpec[Any], placement: Placement) -> tuple[PlannedTransfer, ...]:
    planned = []
    if placement.input is not None:
        size_bytes = size_of(core, spec.input)
        planned.append(PlannedTransfer(source=spec.input, target=placement.input, size_bytes=size_bytes))
    if placement.output is not None and placement.target is not None:
        planned.append(PlannedTransfer(source=placement.output, target=placement.target))
    return tuple(planned)


def _described(call: Call[Any]) -> PlannedCall:
    return PlannedCall(
        service=call.service, operation=call.operation, effect=call.effect, step=call.step, params=call.params
    )
