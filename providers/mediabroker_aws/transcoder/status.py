"""How far the work on one output is: an object beside that output, which is also the claim on the work.

Every change is a conditional write of a record, so of several workers, a late retry and a cancel exactly one wins.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mediabroker.errors import JobError, MediaError, ProviderError
from mediabroker.objects import ObjectStore, Records
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker_aws.transcoder.wire import TranscodeRequest

__all__ = ["SOURCE", "WORK", "LostInvocation", "Seen", "Status", "StatusBoard", "build_completion"]

SOURCE = "mediabroker.transcoder"
"""Marks completion messages."""
WORK = r"^s3://[^/]+/.+/status-(?:mp4|m3u8)\.json$"
"""What the id of a work looks like: it is where its status lies."""


class Status(BaseModel):
    """The work on one output. `publishing` cannot be cancelled any more.

    `attempts` counts workers that began, `earlier` those of them that began before the work was asked for anew.
    `existed`: the output was there before, so nothing was done. `folders` are those beside the output that a worker has
    made for it, each under a name that nobody else has: what is in them, and nothing else, may be removed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    state: Literal["queued", "running", "publishing", "succeeded", "failed", "cancelled"]
    source: MediaURI
    output: MediaURI
    request: TranscodeRequest
    owner: str | None = None
    attempts: int = 0
    earlier: int = 0
    existed: bool = False
    folders: tuple[Annotated[str, Field(pattern=r"^video-[0-9a-f]{8}$")], ...] = ()
    progress: float | None = None
    error: JobError | None = None
    result: VideoResult | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def home(self) -> str:
        """The output's folder, as `s3://bucket/folder/`. Others may keep things in it too."""
        return f"{self.output.rpartition('/')[0]}/"


class LostInvocation(BaseModel):
    """What Lambda sends to a destination when an invocation of the worker has failed for good.

    Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".
    """

    class Context(BaseModel):
        id: str = Field(alias="requestId")
        arn: str = Field(alias="functionArn")
        condition: str

    class Payload(BaseModel):
        work: str = Field(pattern=WORK, max_length=1200)

    context: Context = Field(alias="requestContext")
    payload: Payload = Field(alias="requestPayload")


class Seen(NamedTuple):
    """A status as it was read: its version, and how long ago it was written by the store's own clock."""

    status: Status
    version: str
    age_s: float


class StatusBoard:
    """Reads and writes statuses; `work` is where one is, and the id of its work. Thread-safe."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, work: str) -> Seen | None:
        """Return the status, or None where there is none.

        Raises:
            ProviderError: it cannot be read, or what is there is none.
        """
        records, name = self._place(work)
        try:
            found = records.find(name, Status)
        except MediaError as error:
            message = f"{work} is no status of the transcoding service"
            raise ProviderError(message, provider="s3", operation="GetObject") from error
        return Seen(found.record, found.version, found.age_s or 0.0) if found is not None else None

    def write(self, work: str, status: Status, *, replaces: str | None) -> str | None:
        """Write on the condition that the status still is as it was read (None: that there is none).

        Return its new version, or None if another writer was first.
        """
        records, name = self._place(work)
        return records.add(name, status) if replaces is None else records.replace(name, status, if_version=replaces)

    def _place(self, work: str) -> tuple[Records, str]:
        folder, _, name = work.rpartition("/")
        return Records(self._store, folder), name


def build_completion(work: str, status: Status, *, region: str | None) -> dict[str, JsonValue]:
    """The message that tells that the work has ended. Whoever takes it looks at the status itself."""
    message: dict[str, JsonValue] = {"source": SOURCE, "version": 1, "region": region, "id": work}
    return {**message, "state": status.state, "output": str(status.output), "request": status.request.fields()}
