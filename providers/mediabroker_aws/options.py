"""What can be chosen for one job on AWS."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mediabroker.spi import ProviderOptions

__all__ = ["BatchOptions", "LambdaOptions"]


class BatchOptions(ProviderOptions, frozen=True):
    """How one super-resolution job runs on AWS Batch.

    `extra` is merged into every `SubmitJob` as given, as in `{"schedulingPriorityOverride": 10}`.
    """

    provider: ClassVar[str] = "aws-batch"

    capacity: Literal["spot", "on_demand"] = "spot"
    """Spot is cheaper; a slice whose machine is taken away is worked on again."""


class LambdaOptions(ProviderOptions, frozen=True):
    """How one transcode runs on the transcoding service.

    `extra` is merged into the request as given; the service knows no fields but its own.
    """

    provider: ClassVar[str] = "aws-lambda"

    content_provider: str = Field(default="", max_length=256)
    """For the records of whoever runs the service."""
