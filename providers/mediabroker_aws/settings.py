"""What can be set for AWS services; not credentials, which come from where every AWS tool looks for them."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from mediabroker.models import Unpicklable, Value
from mediabroker.refs import MediaURI

__all__ = [
    "AwsSettings",
    "BatchQueues",
    "BatchSettings",
    "LambdaSettings",
    "S3Settings",
    "ServiceSettings",
    "SqsSettings",
]

MIB = 1 << 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class AwsSettings(Value, frozen=True):
    """Common to all services. Without any, boto3's own chain decides: environment, `~/.aws`, the machine's role."""

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    """Another address of the service: a simulator, or a private endpoint."""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)


class SqsSettings(AwsSettings, frozen=True):
    """`[sources.sqs]`."""

    long_poll_s: int = Field(default=20, ge=0, le=20)
    """Seconds that one receive waits for messages; more is cheaper and nothing is slower for it."""
    visibility_s: int = Field(default=60, ge=1, le=43_200)
    """Seconds that a received message stays hidden from other receivers, unless it is deleted or released."""


class S3Settings(AwsSettings, frozen=True):
    """`[stores.s3]`."""

    part_bytes: int = Field(default=8 * MIB, ge=5 * MIB, le=512 * MIB)
    """Objects above this size are uploaded in parts of it, larger ones in larger parts; one part is held in memory."""
    abandoned_after_s: float = Field(default=86_400.0, ge=0)
    """An unfinished upload to the same key that is older than this is aborted when the key is written again."""
    path_style: bool = False
    """Bucket names in the path instead of the host name, as simulators and some private endpoints need it."""


class BatchQueues(Value, frozen=True):
    """Job queues by the capacity behind them, by name or ARN; one is enough."""

    spot: str | None = None
    on_demand: str | None = None

    @model_validator(mode="after")
    def _one_at_least(self) -> BatchQueues:
        if self.spot is None and self.on_demand is None:
            raise ValueError("name a queue for spot, on_demand or both")
        return self


class BatchSettings(AwsSettings, frozen=True):
    """`[providers.<name>]` of type `aws-batch`. `endpoint_url` is Batch's; S3 has its own."""

    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    """Becomes part of every job reference; events of other accounts are not taken for this instance's."""
    queues: BatchQueues
    job_definition: str
    work: MediaURI
    """Where manifests and slices lie, as `s3://bucket/prefix`; each attempt has a folder of its own in it."""
    attempt_timeout_s: int = Field(default=21_600, ge=60)
    """How long one attempt of a slice, or of the merge, may run."""
    settle_time_s: float = Field(default=60.0, ge=0)
    """How long an accepted job may stay invisible to a search by name."""
    poll_interval_s: float = Field(default=10.0, gt=0)
    s3_endpoint_url: str | None = None
    path_style: bool = False

    @field_validator("work")
    @classmethod
    def _in_s3(cls, work: MediaURI) -> MediaURI:
        if work.scheme != "s3":
            raise ValueError(f"{work} does not lie in S3")
        return work

    def s3(self) -> S3Settings:
        """How the bucket is reached."""
        shared = self.model_dump(include={"region", "profile", "connect_timeout_s", "read_timeout_s", "path_style"})
        return S3Settings(**shared, endpoint_url=self.s3_endpoint_url)


class ServiceSettings(Unpicklable, Value, frozen=True):
    """`[providers.<name>]` of type `aws-batch`, over HTTP: what is set instead of queues and a job definition."""

    service_url: str
    """The stage's address, as `https://abc.execute-api.eu-west-1.amazonaws.com/prod`."""
    bucket: str
    """The service's bucket; its keys are what the service speaks of."""
    api_key: SecretStr | None = None
    """Without one, requests are signed with AWS credentials, found where every AWS tool looks for them."""
    service_dialect: Literal["current", "original"] = "current"
    """`original` for a deployment that knows no more than `key`, `scale`, `task` and `env`."""
    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    region: str | None = None
    profile: str | None = None
    settle_time_s: float = Field(default=5.0, gt=0)
    """After an answer was lost: how long until the request, which starts nothing twice, is sent again."""
    poll_interval_s: float = Field(default=10.0, gt=0)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=35.0, gt=0)
    """API Gateway itself waits 29 seconds for an answer."""

    @field_validator("service_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        return _refuse_readable(url)

    def s3(self) -> S3Settings:
        """How the bucket is reached, where it is."""
        return S3Settings(**self.model_dump(include={"region", "profile", "connect_timeout_s", "read_timeout_s"}))


class LambdaSettings(Unpicklable, AwsSettings, frozen=True):
    """`[providers.<name>]` of type `aws-lambda`: the transcoding service, by its URL or by its function.

    `endpoint_url` is Lambda's; S3 has its own.
    """

    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    url: str | None = None
    """`https://…/prod/videoTranscode`. Callers need its API key, and AWS credentials that may use the bucket."""
    api_key: SecretStr | None = None
    """Without it, the environment variable `MEDIABROKER_TRANSCODE_API_KEY`; without either, requests are signed with
    AWS credentials, for a stack with `ApiAccess=IAM`."""
    function: str | None = None
    """Name or ARN of the function, for callers that may invoke it."""
    read_timeout_s: float = Field(default=60.0, gt=0)
    settle_time_s: float = Field(default=30.0, ge=0)
    """How long a request whose answer was lost may still be worked on."""
    poll_interval_s: float = Field(default=5.0, gt=0)
    silent_after_s: float = Field(default=1800.0, gt=0)
    """A work that runs and says nothing for so long is over. Workers speak every 15 s; Lambda tries for minutes."""
    s3_endpoint_url: str | None = None
    path_style: bool = False

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: str | None) -> str | None:
        return url and _refuse_readable(url)

    @model_validator(mode="after")
    def _one_way(self) -> LambdaSettings:
        if (self.url is None) == (self.function is None):
            raise ValueError("give url or function, one of the two")
        return self


def _refuse_readable(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ValueError("use https; over http the key would be readable on the way (loopback excepted)")
