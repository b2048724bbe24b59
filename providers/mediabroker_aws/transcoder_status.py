"""How far the work on one source is: an object beside the output, which is also the claim on the work.

Every change is a conditional write, so of several workers, a late retry and a cancel exactly one wins.
Source: Amazon S3 User Guide, "Conditional writes" (`If-None-Match: *`, `If-Match`).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from mediabroker.errors import JobError, ProviderError
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.transcoder_wire import TranscodeRequest

__all__ = ["SOURCE", "Seen", "Status", "StatusBoard", "build_completion"]

SOURCE = "mediabroker.transcoder"
"""Marks completion messages."""
_NAME = "status.json"
_LOST = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


class Status(BaseModel):
    """The work on one source. `publishing` cannot be cancelled any more; `attempts` counts workers that began.

    `existed`: the output was there before, so nothing was done.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    state: Literal["queued", "running", "publishing", "succeeded", "failed", "cancelled"]
    source: MediaURI
    output: MediaURI
    request: TranscodeRequest
    owner: str | None = None
    attempts: int = 0
    existed: bool = False
    progress: float | None = None
    error: JobError | None = None
    result: VideoResult | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


class Seen(NamedTuple):
    """A status as it was read: its version, and how long ago it was written by the store's own clock."""

    status: Status
    etag: str
    age_s: float


class StatusBoard:
    """Reads and writes statuses; `home` is the folder of one output, as `s3://bucket/folder/`. Thread-safe."""

    def __init__(self, client: AwsClient) -> None:
        self._client = client

    def read(self, home: str) -> Seen | None:
        """The status, or None where there is none.

        Raises:
            ProviderError: it cannot be read, or what lies there is none.
        """
        try:
            answer = self._client.call("get_object", **_where(home))
            body = answer["Body"].read()
        except ProviderError as error:
            if error.provider_code in _MISSING:
                return None
            raise
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        age = parsedate_to_datetime(headers["date"]) - answer["LastModified"]
        try:
            status = Status.model_validate_json(body)
        except ValidationError as error:
            message = f"{home}{_NAME} is no status of the transcoding service"
            raise ProviderError(message, provider="s3", operation="GetObject") from error
        return Seen(status, answer["ETag"], max(0.0, age.total_seconds()))

    def write(self, home: str, status: Status, *, replaces: str | None) -> str | None:
        """Write on the condition that the status still is as it was read (None: that there is none); its new version.

        None: somebody else was quicker. A write whose answer was lost, and whose repetition is refused, is recognised.
        """
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        body = status.model_dump_json(exclude_none=True).encode()
        try:
            answer = self._client.call(
                "put_object", **_where(home), **condition, Body=body, ContentType="application/json"
            )
        except ProviderError as error:
            if error.provider_code not in _LOST | _MISSING:
                raise
            seen = self.read(home)
            return seen.etag if seen is not None and seen.status == status else None
        return str(answer["ETag"])


def _where(home: str) -> dict[str, Any]:
    bucket, _, folder = home.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": f"{folder}{_NAME}"}


def build_completion(home: str, status: Status, *, region: str | None) -> dict[str, JsonValue]:
    """The message that tells that the work has ended. Whoever takes it looks at the status itself."""
    message: dict[str, JsonValue] = {"source": SOURCE, "version": 1, "region": region, "id": home}
    return {**message, "state": status.state, "output": str(status.output), "request": status.request.fields()}
