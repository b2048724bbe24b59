"""What can be chosen for one job on Alibaba Cloud."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mediabroker.spi import ProviderOptions

__all__ = ["MpsOptions"]

PIPELINE_PATTERN = r"^[0-9a-f]{32}$"
NOTIFY_PATTERN = r"^mns://[0-9]+\.(mns\.|oss-)[a-z0-9-]+\.aliyuncs\.com/queues/[A-Za-z0-9][A-Za-z0-9-]{0,119}$"
"""Queues only, no topics and no HTTP; the manual's own sample has `.oss-<region>` in the host,
which is a slip and sent as `.mns.<region>`.

Source: Alibaba Cloud MPS, "SubmitIProductionJob", parameter NotifyUrl.
"""


class MpsOptions(ProviderOptions, frozen=True):
    """How one job runs on Alibaba Cloud MPS.

    `UserData` is the provider's own: it carries the job's token and the spec's `user_data`, which comes back with every
    event of the job. `extra` is merged into the request as given, under the vendor's names.
    """

    provider: ClassVar[str] = "alibaba-mps"

    pipeline: str | None = Field(default=None, pattern=PIPELINE_PATTERN)
    """The pipeline's id, in place of the instance's; so that each tenant has a queue and callbacks of its own."""
    notify_url: str | None = Field(default=None, pattern=NOTIFY_PATTERN)
    """The MNS queue that is told when a smart-production job ends, as `mns://<account>.mns.<region>…/queues/<name>`.
    Other kinds tell the queue or topic of their pipeline."""
    model_id: str | None = None
    """`ModelId` of smart production; the vendor advises to leave it out."""
    schedule_params: str | None = None
    """`ScheduleParams` of smart production; the vendor advises to leave it out."""
    template: str | None = Field(default=None, pattern=r"^([0-9a-f]{32}|S\d{8}-\d{6})$")
    """A transcode template in place of the spec's encoder and renditions: an id of yours, or a preset's."""
    priority: int | None = Field(default=None, ge=1, le=10)
    """Of a transcode within its pipeline, 10 first; the vendor's default is 6."""
