"""What can be set for Alibaba Cloud's services; not credentials, see `mediabroker_alibaba.credentials`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mediabroker.models import Value
from mediabroker_alibaba.options import NOTIFY_PATTERN, PIPELINE_PATTERN

__all__ = ["AlibabaSettings", "MnsSettings", "MpsSettings", "OssSettings"]

MIB = 1 << 20
ENDPOINT_PATTERN = r"^https?://[^/?#@]+/?$"


class AlibabaSettings(Value, frozen=True):
    """Common to all services."""

    region: str | None = None
    """As `cn-shanghai`."""
    profile: str | None = None
    """A profile of the shared credentials file, in place of the environment's credentials."""
    endpoint_url: str | None = Field(default=None, pattern=ENDPOINT_PATTERN)
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
    resume_after_s: float = Field(default=900.0, ge=0)
    """An unfinished upload to the same key that nobody has touched for so long is taken up again, part by part, as far
    as the content is the same."""
    abandoned_after_s: float = Field(default=86_400.0, ge=0)
    """An unfinished upload to the same key that is older than this is aborted when the key is written again."""


class MpsSettings(AlibabaSettings, frozen=True):
    """`[providers.<name>]` of type `alibaba-mps`. `endpoint_url` is MPS's; OSS has its own.

    Tenants are kept apart by an instance each, with a pipeline of its own.
    """

    region: str
    """Of MPS, and so of every bucket, pipeline and queue that its jobs touch."""
    account: str | None = Field(default=None, pattern=r"^\d{1,32}$")
    """Becomes part of every job reference."""
    pipeline: str | None = Field(default=None, pattern=PIPELINE_PATTERN)
    """Where jobs wait and whose callbacks tell of them. Without it smart production takes the account's default
    pipeline, and a transcode needs `MpsOptions(pipeline=...)`."""
    notify_url: str | None = Field(default=None, pattern=NOTIFY_PATTERN)
    """As `MpsOptions.notify_url`, for all jobs."""
    network: Literal["public", "vpc"] = "public"
    """`vpc` speaks to MPS from machines inside Alibaba Cloud."""
    settle_time_s: float = Field(default=60.0, ge=0)
    """How long an accepted transcode or snapshot may stay invisible to a search of the job list."""
    poll_interval_s: float = Field(default=10.0, gt=0)
    user_data_limit_bytes: int = Field(default=1024, ge=256, le=1024)
    """Source: Alibaba Cloud MPS, "SubmitJobs": 1,024 bytes. For smart production no limit is documented; the vendor's
    newer media service takes 256."""
    old_functions: bool = False
    """Offer also the functions of 2021 that the vendor has taken off its list since."""
    oss_endpoint_url: str | None = Field(default=None, pattern=ENDPOINT_PATTERN)
    connections: int = Field(default=32, ge=1, le=512)
    """Connections that are kept open to MPS; as many threads can call it without waiting for each other."""
