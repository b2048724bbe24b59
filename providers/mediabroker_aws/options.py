"""What can be chosen for one job on AWS."""

from __future__ import annotations

from typing import ClassVar, Literal

from mediabroker.spi import ProviderOptions

__all__ = ["BatchOptions"]


class BatchOptions(ProviderOptions, frozen=True):
    """How one super-resolution job runs on AWS Batch.

    `extra` is merged into every `SubmitJob` as given, as in `{"schedulingPriorityOverride": 10}`.
    """

    provider: ClassVar[str] = "aws-batch"

    capacity: Literal["spot", "on_demand"] = "spot"
    """Spot is cheaper; a slice whose machine is taken away is worked on again."""
