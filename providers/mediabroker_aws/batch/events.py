"""Batch's events as EventBridge carries them, read as hints at jobs.

Source: AWS Batch User Guide, "AWS Batch events for EventBridge": at least once, in no order, fields may be added.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field, JsonValue, ValidationError

from mediabroker.spi import Observation
from mediabroker_aws.batch.states import parse_origin

__all__ = ["parse_event"]


class _Variable(BaseModel):
    name: str = ""
    value: str = ""


class _Container(BaseModel):
    environment: tuple[_Variable, ...] = ()


class _Detail(BaseModel):
    job_id: str = Field(alias="jobId", min_length=1)
    job_queue: str = Field(alias="jobQueue")
    status: str
    container: _Container = _Container()


class _Event(BaseModel):
    """What a `Batch Job State Change` must have to be of use; the rest is ignored."""

    source: str = Field(pattern=r"^aws\.batch$")
    kind: str = Field(alias="detail-type", pattern=r"^Batch Job State Change$")
    account: str
    region: str
    detail: _Detail


def parse_event(
    message: Mapping[str, JsonValue], *, account: str | None, region: str | None
) -> list[Observation] | None:
    """The job that an event speaks of; None: not of Batch, or not of this account and region, where they are known.

    A child speaks for its array. `raw` names the queue, in which the rest of the chain can be found.
    """
    try:
        event = _Event.model_validate(message)
    except ValidationError:
        return None
    if account not in (None, event.account) or region not in (None, event.region):
        return None
    detail = event.detail
    origin = parse_origin(detail.model_dump())
    return [
        Observation(
            native_id=detail.job_id.partition(":")[0],
            phase=detail.status,
            token=origin.token if origin else None,
            origin=origin,
            raw={"jobId": detail.job_id, "jobQueue": detail.job_queue},
        )
    ]
