"""How far the work on one output is: an object beside that output, which is also the claim on the work.

Every change is a conditional write, so of several workers, a late retry and a cancel exactly one wins.
Source: Amazon S3 User Guide, "Conditional writes" (`If-None-Match: *`, `If-Match`).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mediabroker.errors import JobError, ProviderError
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker_aws.clients import AwsClient, read_whole
from mediabroker_aws.transcoder.wire import TranscodeRequest

__all__ = ["SOURCE", "WORK", "LostInvocation", "Seen", "Status", "StatusBoard", "build_completion"]

SOURCE = "mediabroker.transcoder"
"""Marks completion messages."""
WORK = r"^s3://[^/]+/.+/status-(?:mp4|m3u8)\.json$"
"""What the id of a work looks like: it is where its status lies."""
_LOST = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


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
    etag: str
    age_s: float


class StatusBoard:
    """Reads and writes statuses; `work` is where one lies, and the id of its work. Thread-safe."""

    def __init__(self, client: AwsClient) -> None:
        self._client = client

    def read(self, work: str) -> Seen | None:
        """The status, or None where there is none.

        Raises:
            ProviderError: it cannot be read, or what lies there is none.
        """
        try:
            answer = self._client.call("get_object", **_where(work))
            body = read_whole(answer["Body"], provider="s3", operation="get_object")
        except ProviderError as error:
            if error.provider_code in _MISSING:
                return None
            raise
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        age = parsedate_to_datetime(headers["date"]) - answer["LastModified"]
        try:
            status = Status.model_validate_json(body)
        except ValidationError as error:
            message = f"{work} is no status of the transcoding service"
            raise ProviderError(message, provider="s3", operation="GetObject") from error
        return Seen(status, answer["ETag"], max(0.0, age.total_seconds()))

    def write(self, work: str, status: Status, *, replaces: str | None) -> str | None:
        """Write on the condition that the status still is as it was read (None: that there is none); its new version.

        None: somebody else was quicker. A write whose answer was lost, and whose repetition is refused, is recognised.
        """
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        body = status.model_dump_json(exclude_none=True).encode()
        try:
            answer = self._client.call(
                "put_object", **_where(work), **condition, Body=body, ContentType="application/json"
            )
        except ProviderError as error:
            if error.provider_code not in _LOST | _MISSING:
                raise
            seen = self.read(work)
            return seen.etag if seen is not None and seen.status == status else None
        return str(answer["ETag"])


def _where(work: str) -> dict[str, Any]:
    bucket, _, key = work.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def build_completion(work: str, status: Status, *, region: str | None) -> dict[str, JsonValue]:
    """The message that tells that the work has ended. Whoever takes it looks at the status itself."""
    message: dict[str, JsonValue] = {"source": SOURCE, "version": 1, "region": region, "id": work}
    return {**message, "state": status.state, "output": str(status.output), "request": status.request.fields()}
