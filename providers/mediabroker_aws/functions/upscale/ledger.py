"""What the service remembers, as objects that only the first writer can write. Its only state beside Batch itself.

`<work>/requests/names/<derived name>` names the job that a key or a request leads to: ids themselves are random. Below
`<work>/requests/<job id>/`:

    request       what was asked for
    calls/<n>     the journal of the submission, see `mediabroker.objects.journal`
    members       all vendor jobs of the job
    cancel        a caller wants it to stop
    end           how it ended, once that is known for good
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from mediabroker.errors import MediaBrokerError
from mediabroker.jobs import SuperResolution
from mediabroker.models import Value
from mediabroker.objects import ObjectStore, Records
from mediabroker.refs import MediaURI, base32, new_job_id, token_for
from mediabroker.spi import SubmitContext
from mediabroker_aws.options import BatchOptions

__all__ = ["Ledger", "OvertakenError", "Ticket", "derive_id"]


_NAMES = "names"


class OvertakenError(MediaBrokerError):
    """Another request has written this job's ticket first; read it and go by it."""


class Ticket(Value, frozen=True):
    """One job of the service, as it was asked for."""

    job_id: str
    fingerprint: str
    key: str
    spec: SuperResolution
    options: BatchOptions
    created_at: datetime
    caller: str = ""
    """Digest of the caller who asked for it: nobody else is answered about it. Empty in tickets of release 0.1."""
    told: tuple[JsonValue, ...] = ()
    """What the reads before the first submit came to, in tickets of release 0.1, whose journal was another one."""
    is_new: bool = Field(default=False, exclude=True)
    """Whether it is not written yet."""

    @property
    def context(self) -> SubmitContext:
        """Its one attempt. The token is derived as a broker derives it, so that any broker can take the job over."""
        return SubmitContext(
            job_id=self.job_id,
            attempt=1,
            token=token_for(self.job_id, 1),
            input=self.spec.input,
            output=self.spec.output,
        )


class Ledger:
    """The records of all jobs. Thread-safe.

    Raises:
        AuthenticationError: the bucket does not let the service read or write its own records.
        ProviderError: the bucket cannot be reached now.
    """

    def __init__(self, store: ObjectStore, work: MediaURI) -> None:
        self._records = Records(store, f"{work}/requests")

    def read(self, job_id: str, name: str) -> dict[str, Any] | None:
        """Return the record, or None where there is none."""
        return self._records.below(job_id).read(f"{name}.json", dict[str, Any])

    def write(self, job_id: str, name: str, content: Mapping[str, JsonValue]) -> bool:
        """Write the record unless there is one; return whether this call has written it."""
        return self._records.below(job_id).add(f"{name}.json", content) is not None

    def calls(self, job_id: str) -> Records:
        """Return the records of the job's journal."""
        return self._records.below(f"{job_id}/calls")

    def begin(self, ticket: Ticket) -> None:
        """Write the ticket of a new job.

        Raises:
            OvertakenError: another request has written it.
        """
        if ticket.is_new and not self.write(ticket.job_id, "request", ticket.model_dump(mode="json")):
            raise OvertakenError(f"job {ticket.job_id} has been begun by another request")

    def named(self, name: str, *, create: bool) -> str | None:
        """Return the id of the job that a derived name stands for: a random one, so that no caller can derive it."""
        if found := self.read(_NAMES, name):
            return str(found["id"])
        if self.ticket(name) is not None:  # of release 0.1, whose ids were the names themselves
            return name
        if not create:
            return None
        fresh = new_job_id()
        if self.write(_NAMES, name, {"id": fresh}):
            return fresh
        found = self.read(_NAMES, name)
        return str(found["id"]) if found else None

    def ticket(self, job_id: str) -> Ticket | None:
        """The job of that id, or None."""
        return self._records.below(job_id).read("request.json", Ticket)


def derive_id(*parts: str) -> str:
    """The id of the job that these parts, and no others, lead to: 128 bits in lower-case base32."""
    return base32(hashlib.sha256("\x00".join(parts).encode()).digest()[:16])
