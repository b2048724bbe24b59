"""What a plug-in is. A provider holds conversations; it does no I/O.

Its methods are generators that yield `Call`s and receive replies, as `httpx.Auth.auth_flow` does. Whoever drives them
(the broker, `plan()`, a test) decides what a call does, so one source serves sync and async, a crash is healed by
replaying the generator over the journal, and a test needs no patching.

Rules for authors: be deterministic given the replies; do no I/O; give every `create` a token (`ctx.token_of(step)`) in
a place where the vendor lets you find it; put no secret, clock value or signed URL into `params`, for they are stored
and printed.
"""

from __future__ import annotations

from mediabroker.flows import Call, Effect, Flow, Reply, Transport, ask, drive
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.objects import ObjectStat, ObjectStore
from mediabroker.sandbox import Sandbox
from mediabroker.spi.capabilities import CancelOutcome, Capabilities, ProviderOptions, RateLimit
from mediabroker.spi.members import (
    Member,
    MemberStatus,
    Observation,
    Origin,
    Recovered,
    SubmitContext,
    Submitted,
    fold_members,
)
from mediabroker.spi.provider import Provider

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
    "fold_members",
]
