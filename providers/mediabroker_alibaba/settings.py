"""What can be set for Alibaba Cloud's services; not credentials, see `mediabroker_alibaba.credentials`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from mediabroker.errors import ConfigurationError
from mediabroker.models import Value, readable

__all__ = ["AlibabaSettings", "MnsSettings", "OssSettings", "build_settings"]

MIB = 1 << 20


class AlibabaSettings(Value, frozen=True):
    """Common to all services."""

    region: str | None = None
    """As `cn-shanghai`."""
    profile: str | None = None
    """A profile of the shared credentials file, in place of the environment's credentials."""
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://[^/?#@]+/?$")
    """Another address of the service: a simulator, or a private endpoint."""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)


class MnsSettings(AlibabaSettings, frozen=True):
    """`[sources.mns]`."""

    long_poll_s: int = Field(default=20, ge=0, le=30)
    """Seconds that one receive waits for messages; more is cheaper and nothing is slower for it."""


class OssSettings(AlibabaSettings, frozen=True):
    """`[stores.oss]`."""

    internal: bool = False
    """Use the regions' internal host names, from machines inside Alibaba Cloud: no charge for traffic."""
    signature: str = Field(default="v4", pattern="^v[14]$")
    part_bytes: int = Field(default=8 * MIB, ge=MIB, le=512 * MIB)
    """Objects above this size are uploaded in parts of it, larger ones in larger parts."""
    parallel: int = Field(default=4, ge=1, le=32)
    """Parts on their way at a time; each is held in memory."""
    abandoned_after_s: float = Field(default=86_400.0, ge=0)
    """An unfinished upload to the same key that is older than this is aborted when the key is written again."""


S = TypeVar("S", bound=Value)


def build_settings(cls: type[S], where: str, given: Mapping[str, Any]) -> S:
    """The validated settings.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the message names each.
    """
    try:
        return cls.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {readable(error, show_values=False)}") from error
