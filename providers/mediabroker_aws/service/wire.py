"""What the super-resolution service and its clients say to each other: one job as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mediabroker.errors import JobError
from mediabroker.results import Output
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState

__all__ = ["ID_FORM", "INTERNAL", "NOT_FOUND", "QUERY_LIMIT", "JobView"]

ID_FORM = r"[a-z2-7]{26}"
"""What the id of a job of the service looks like: 128 bits in lower-case base32."""
QUERY_LIMIT = 50
"""How many jobs one `GET /jobs?ids=` may name."""
NOT_FOUND = "NOT_FOUND"
"""The error code of a job that does not exist."""
INTERNAL = "INTERNAL"
"""The error code of an answer that does not tell whether something was started."""


class JobView(BaseModel):
    """A whole job, never one of its vendor jobs. Fields that a later release adds are ignored by an older client.

    `reference` lets the SDK take the job over with direct access to the account. `outputs` have been looked at: they
    are there and not empty. `outcome` is what a cancel came to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    reference: str
    state: JobState
    phase: str | None = None
    progress: float | None = None
    hold_reason: str | None = None
    key: str
    output: str
    outputs: tuple[Output, ...] = ()
    error: JobError | None = None
    outcome: CancelOutcome | None = None
