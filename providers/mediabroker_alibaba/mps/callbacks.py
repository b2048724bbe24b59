"""MPS's messages as queues carry them, read as hints at jobs: which one, and whose.

Keys come in either capitalisation or in both, fields may be missing, and pages differ in their spelling. No word of a
message becomes a state.
Source: Alibaba Cloud MPS, "SubmitIProductionJob", Callbacks (2021), and "Receive message notifications".
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from mediabroker.spi import Observation
from mediabroker_alibaba.mps.requests import PROBE
from mediabroker_alibaba.user_data import parse_user_data

__all__ = ["parse_message"]

_TYPES = frozenset({"iproduction", "mediainfo", "snapshot", "transcode"})
"""Of jobs that are submitted here; a queue may carry those of workflows, analyses and reviews as well."""
_ID_LIMIT = 64
_WORD_LIMIT = 64


def parse_message(message: Mapping[str, JsonValue]) -> list[Observation] | None:
    """Return the job that a message speaks of; none of a probe of this product's own.

    None: it is not from MPS, or of a job that is not submitted here.
    """
    # Sorted, the capitalised key of a pair comes first, and the other one wins where they differ.
    said = {name.lower(): message[name] for name in sorted(message)}
    kind, job_id, state = said.get("type"), said.get("jobid"), said.get("state")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return None
    if not isinstance(job_id, str) or not (job_id.isalnum() and job_id.isascii() and len(job_id) <= _ID_LIMIT):
        return None
    if said.get("userdata") == PROBE:
        return []
    tag = parse_user_data(said.get("userdata"))
    return [
        Observation(
            native_id=job_id,
            phase=state[:_WORD_LIMIT] if isinstance(state, str) and state.isprintable() else None,
            token=tag.token if tag else None,
            origin=tag.origin if tag else None,
            raw={"JobId": job_id, "Type": kind, "step": tag.step if tag else "", "of": tag.of if tag else 1},
        )
    ]
