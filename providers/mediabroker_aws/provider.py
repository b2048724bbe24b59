"""The provider `aws-batch`: one kind of job, and the ways to it. Which one is a matter of settings.

With `queues` and a `job_definition` it speaks to Batch and S3 itself; with a `service_url` it speaks HTTP to the
super-resolution service, which does that for callers who hold only an API key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mediabroker.errors import ConfigurationError
from mediabroker.spi import Provider

__all__ = ["BatchProvider"]


class BatchProvider(Provider):
    """Super-resolution on AWS Batch. See `BatchSettings` for the direct way, `ServiceSettings` for that over HTTP.

    A call makes the provider of the way that the settings describe.
    """

    type: ClassVar[str] = "aws-batch"

    def __new__(cls, name: str, settings: Mapping[str, Any]) -> Provider:  # type: ignore[misc]  # one of the ways
        return _way_in(name, settings)


def _way_in(name: str, settings: Mapping[str, Any]) -> Provider:
    """The way that the settings describe. Each loads only what it needs: a caller with a key needs no AWS SDK."""
    if "service_url" not in settings:
        from mediabroker_aws.batch.provider import BatchChain  # noqa: PLC0415

        return BatchChain(name, settings)
    dialect = settings.get("service_dialect", "current")
    if dialect == "original":
        from mediabroker_aws.service.original import OriginalService  # noqa: PLC0415

        return OriginalService(name, settings)
    if dialect == "current":
        from mediabroker_aws.service.provider import BatchService  # noqa: PLC0415

        return BatchService(name, settings)
    raise ConfigurationError(
        f"providers.{name}: service_dialect: {dialect!r} is not known; use 'current' or 'original'"
    )
