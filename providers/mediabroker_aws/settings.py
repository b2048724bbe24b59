"""What can be set for AWS services; not credentials, which come from where every AWS tool looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from mediabroker.errors import ConfigurationError
from mediabroker.models import Value

__all__ = ["AwsSettings", "S3Settings", "SqsSettings", "build_settings"]

MIB = 1 << 20


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


S = TypeVar("S", bound=AwsSettings)


def build_settings(cls: type[S], where: str, given: Mapping[str, Any]) -> S:
    """The validated settings.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the message names each.
    """
    try:
        return cls.model_validate(dict(given))
    except ValidationError as error:
        findings = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"{where}: {findings}") from error
