"""The provider `aws-batch`: one kind of job, and the ways to it. Which one is a matter of settings.

With `queues` and a `job_definition` it speaks to Batch and S3 itself; with a `service_url` it speaks HTTP to the
super-resolution service, which does that for callers who hold only an API key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.errors import ConfigurationError, JobError, ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Capabilities,
    Flow,
    Member,
    MemberStatus,
    Observation,
    Provider,
    ProviderOptions,
    Recovered,
    Reply,
    SubmitContext,
    Submitted,
    Transport,
)

__all__ = ["BatchProvider"]


class BatchProvider(Provider):
    """Super-resolution on AWS Batch. See `BatchSettings` for the direct way, `ServiceSettings` for that over HTTP."""

    type: ClassVar[str] = "aws-batch"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self._way = _way_in(name, settings)
        super().__init__(name, self._way.settings)
        self.account, self.region = self._way.account, self._way.region

    def capabilities(self) -> Capabilities:
        return self._way.capabilities()

    def connect(self, service: str) -> Transport:
        return self._way.connect(service)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        self._way.check(spec, options)

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        return self._way.submit(spec, options, ctx)

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        return self._way.query(members)

    def query_group(self, member: Member) -> str:
        return self._way.query_group(member)

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        return self._way.cancel(members)

    def finish(self, members: Sequence[MemberStatus]) -> Flow[None]:
        return self._way.finish(members)

    def forget(self, members: Sequence[Member]) -> Flow[None]:
        return self._way.forget(members)

    def settle_time_s(self, call: Call[Any]) -> float | None:
        return self._way.settle_time_s(call)

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        return self._way.find(ctx, call)

    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        return self._way.fold(members)

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        return self._way.parse(message)

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        return self._way.recover(seen)

    def classify(self, failure: ProviderError) -> JobError:
        return self._way.classify(failure)


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
