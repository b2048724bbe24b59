"""Cancel with an honest answer: MPS stops only transcodes that wait in their pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from mediabroker.errors import ProviderError
from mediabroker.spi import CancelOutcome, Flow, Member, ask
from mediabroker.states import JobState
from mediabroker_alibaba.mps.missing import vendor_id
from mediabroker_alibaba.mps.querying import query
from mediabroker_alibaba.mps.requests import build_cancel

__all__ = ["cancel"]

_RUNNING = "PermissionDenied.JobInRunning"
_ENDED = ("PermissionDenied.JobInComplete", "PermissionDenied.JobInFailure")
"""Source: Alibaba Cloud MPS, "CancelJob", error codes."""
_OTHERS = ("production", "media_info", "snapshot-")


def cancel(members: Sequence[Member]) -> Flow[CancelOutcome]:
    """REQUESTED: some of it will end. UNSUPPORTED: all that lives goes on. TOO_LATE: nothing lives."""
    seen = yield from query(members)
    known = {member.native_id: member for member in members}
    # A state that no table lists is that of a living job: only its vendor knows whether it can be stopped.
    living = [each for each in seen if not each.not_found and not (each.state and each.state.is_terminal)]
    stopped, running = 0, 0
    for each in living:
        if each.state is JobState.RUNNING or known[each.native_id].role.startswith(_OTHERS):
            running += 1
            continue
        try:
            yield from ask(build_cancel(vendor_id(known[each.native_id], each)))
            stopped += 1
        except ProviderError as refusal:  # it has moved on since it was asked for
            if refusal.provider_code == _RUNNING:
                running += 1
            elif refusal.provider_code not in _ENDED:
                raise
    if stopped:
        return CancelOutcome.REQUESTED
    return CancelOutcome.UNSUPPORTED if running else CancelOutcome.TOO_LATE
