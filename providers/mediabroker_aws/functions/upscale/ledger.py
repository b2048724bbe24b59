"""What the service remembers, as objects that only the first writer can write. Its only state beside Batch itself.

`<work>/requests/names/<derived name>` names the job that a key or a request leads to: ids themselves are random. Below
`<work>/requests/<job id>/`:

    request               what was asked for, and what the reads before the first submit have told
    <step>.<n>.sent       somebody is about to submit this step for the n-th time; whoever wrote it may
    <step>.<n>.withdrawn  that submit was refused for now: it had no effect, and may be made again
    <step>.accepted       the answer of Batch, or of S3 to the manifest
    members               all vendor jobs of the job
    cancel                somebody wants it to stop
    end                   how it ended, once that is known for good
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import AuthenticationError, ErrorCode, MediaError
from mediabroker.jobs import SuperResolution
from mediabroker.models import Value
from mediabroker.objects import ObjectStore
from mediabroker.refs import MediaURI, base32, new_job_id, token_for
from mediabroker.spi import SubmitContext
from mediabroker_aws.options import BatchOptions

__all__ = ["Ledger", "Ticket", "Told", "derive_id"]


_NAMES = "names"


class Told(Value, frozen=True):
    """One read and what it came to: a reply, or the refusal that the flow could live with."""

    digest: str
    reply: Mapping[str, JsonValue] | None = None
    refusal: Mapping[str, JsonValue] | None = None


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
    told: tuple[Told, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it has not been written down; a ticket that has holds at least what was read of the source."""
        return not self.told

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
        self._store = store
        self._folder = f"{work}/requests"

    def read(self, job_id: str, name: str) -> dict[str, Any] | None:
        """The record, or None where there is none."""
        try:
            body = b"".join(self._store.read(self._uri(job_id, name)))
        except MediaError as error:
            if error.error.code is ErrorCode.INPUT_NOT_FOUND:
                return None
            raise _denied(error, name) from error
        content: dict[str, Any] = json.loads(body)
        return content

    def write(self, job_id: str, name: str, content: Mapping[str, JsonValue]) -> bool:
        """Whether this call has written the record; False: it was there."""
        body = json.dumps(content, sort_keys=True).encode()
        try:
            self._store.write(self._uri(job_id, name), iter([body]))
        except MediaError as error:
            if error.error.code is ErrorCode.OUTPUT_EXISTS:
                return False
            raise _denied(error, name) from error
        return True

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
        found = self.read(job_id, "request")
        return Ticket.model_validate(found) if found else None

    def _uri(self, job_id: str, name: str) -> MediaURI:
        return MediaURI(f"{self._folder}/{job_id}/{name}.json")


def _denied(error: MediaError, name: str) -> AuthenticationError:
    return AuthenticationError(f"the record {name!r}: {error.error.message}", provider="s3", operation=name)


def derive_id(*parts: str) -> str:
    """The id of the job that these parts, and no others, lead to: 128 bits in lower-case base32."""
    return base32(hashlib.sha256("\x00".join(parts).encode()).digest()[:16])
