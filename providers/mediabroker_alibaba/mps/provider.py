"""Alibaba Cloud MPS: smart production, transcodes, snapshots and media information."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.absent import Absent
from mediabroker.errors import ErrorCode, JobError, ProviderError, UnsupportedError
from mediabroker.jobs import JobSpec, MediaInfo, SmartProduction, Snapshot, Transcode
from mediabroker.models import build_settings
from mediabroker.production.names import placeholders
from mediabroker.refs import MediaURI
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
    RateLimit,
    Recovered,
    Reply,
    SubmitContext,
    Submitted,
    Transport,
    ask,
)
from mediabroker_alibaba.catalogue import FUNCTIONS
from mediabroker_alibaba.mps import requests
from mediabroker_alibaba.mps.callbacks import parse_message
from mediabroker_alibaba.mps.cancelling import cancel
from mediabroker_alibaba.mps.checks import check
from mediabroker_alibaba.mps.errors import PROVIDER, refusal_error
from mediabroker_alibaba.mps.finding import SEARCHABLE, find_hinted, find_listed
from mediabroker_alibaba.mps.folding import build_finish, fold
from mediabroker_alibaba.mps.probing import probe_source
from mediabroker_alibaba.mps.querying import kind_of, query, recover
from mediabroker_alibaba.mps.transcode_requests import Rejected, TranscodeOutput, build_transcode, plan_outputs
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.settings import MpsSettings

__all__ = ["MpsProvider"]

_KINDS = ("transcode", "snapshot", "media_info", "smart_production")
_RATES = (
    RateLimit(service=requests.SERVICE, per_s=100),
    RateLimit(service=requests.SERVICE, per_s=50, operations=("SubmitSnapshotJob",)),
    RateLimit(service=requests.SERVICE, per_s=50, operations=("SubmitMediaInfoJob",)),
)
"""Source: Alibaba Cloud MPS, API reference, "QPS limits"."""
_FLOW_VERSION = 2
"""2: also pictures of a series and renditions are looked for, where nothing may be replaced."""
_LIMITS = {
    "calls": "100 a second and account, 50 for SubmitSnapshotJob and SubmitMediaInfoJob",
    "jobs at a time": "10 in the default pipeline of smart production",
    "pictures of a snapshot": "100; one vendor job each",
    "where": "buckets, pipelines and queues of the instance's own region",
    "cancel": "transcodes that have not begun; other jobs cannot be stopped",
}


class MpsProvider(Provider):
    """One account's MPS in one region. See `MpsSettings`."""

    type: ClassVar[str] = "alibaba-mps"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        self._settings = build_settings(MpsSettings, f"providers.{name}", settings)
        self.account, self.region = self._settings.account, self._settings.region

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=(*_KINDS, *self._functions()),
            input_schemes=frozenset({"oss"}),
            output_schemes=frozenset({"oss"}),
            options=MpsOptions,
            flow_version=_FLOW_VERSION,
            settle_time_s=self._settings.settle_time_s,
            poll_interval_s=self._settings.poll_interval_s,
            query_batch=requests.QUERY_LIMIT,
            rates=_RATES,
            limits=_LIMITS,
        )

    def _functions(self) -> Iterator[str]:
        for each in FUNCTIONS:
            if not each.refused and (each.status != "old" or self._settings.old_functions):
                yield each.kind

    def connect(self, service: str) -> Transport:
        # Each loads its SDK, which takes a while; a job that may overwrite never needs the one of OSS.
        if service == "oss":
            from mediabroker_alibaba.mps.objects import ObjectTransport  # noqa: PLC0415

            return ObjectTransport(self._settings)
        from mediabroker_alibaba.mps.transports import MpsTransport  # noqa: PLC0415

        return MpsTransport(self._settings)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for an object of another region, an output whose files could not share its name,
                values outside MPS's ranges, options that belong to another kind, and user data that is too large to
                travel with the job.
        """
        super().check(spec, options)
        check(self._settings, spec, _options(options))

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        chosen = _options(options)
        if not spec.overwrite:
            yield from self._refuse_existing(_named_outputs(spec, ctx))
        if isinstance(spec, Transcode):
            return (yield from self._transcode(spec, chosen, ctx))
        if isinstance(spec, Snapshot):
            return (yield from self._snapshots(spec, chosen, ctx))
        if isinstance(spec, MediaInfo):
            only = yield from ask(requests.build_media_info(self._settings, spec, chosen, ctx))
            return Submitted(members=(Member(role="media_info", native_id=only, output=ctx.output),))
        if isinstance(spec, SmartProduction):
            only = yield from ask(requests.build_production(self._settings, spec, chosen, ctx))
            return Submitted(members=(Member(role="production", native_id=only, output=ctx.output),))
        raise UnsupportedError(f"{self.name} does not run {spec.kind}")

    def _refuse_existing(self, outputs: Sequence[MediaURI]) -> Flow[None]:
        for output in outputs:
            look: Call[Reply] = Call("oss", "HeadObject", {"uri": str(output)})
            there = yield from ask(look)
            if there.get("version") is not None:
                raise ProviderError(
                    f"{output} exists; set overwrite to replace it",
                    provider=self.name,
                    operation="HeadObject",
                    provider_code=ErrorCode.OUTPUT_EXISTS.value,
                )

    def _transcode(self, spec: Transcode, options: MpsOptions, ctx: SubmitContext) -> Flow[Submitted]:
        assert ctx.output is not None
        media = None
        if not options.template:
            media = yield from probe_source(self._settings, options, ctx.input)
        outputs = plan_outputs(spec, ctx.output, media)
        if not spec.overwrite:  # the renditions, whose names are known only now
            yield from self._refuse_existing([each.uri for each in outputs if each.uri != ctx.output])
        results = yield from self._create_all(
            [
                (each.step, each.uri, build_transcode(self._settings, spec, options, ctx, each, of=len(outputs)))
                for each in outputs
            ]
        )
        rejected = [each for each in results if isinstance(each, Rejected)]
        if len(rejected) == len(outputs):
            first = rejected[0]
            raise ProviderError(
                f"SubmitJobs: {first.message} ({first.code})",
                provider=PROVIDER,
                operation="SubmitJobs",
                provider_code=first.code,
            )
        return Submitted(members=tuple(_member(ctx.token, *each) for each in zip(outputs, results, strict=True)))

    def _snapshots(self, spec: Snapshot, options: MpsOptions, ctx: SubmitContext) -> Flow[Submitted]:
        assert ctx.output is not None
        numbers = range(1, len(spec.at_s) + 1)
        pictures = [requests.picture_of(ctx.output, number) for number in numbers]
        calls = [requests.build_snapshot(self._settings, spec, options, ctx, number) for number in numbers]
        ids = yield from self._create_all(
            [(call.step, picture, call) for picture, call in zip(pictures, calls, strict=True)]
        )
        members = zip(numbers, ids, pictures, strict=True)
        return Submitted(
            members=tuple(Member(role=f"snapshot-{at}", native_id=str(each), output=uri) for at, each, uri in members)
        )

    def _create_all(self, wanted: Sequence[tuple[str, MediaURI, Call[Any]]]) -> Flow[list[Any]]:
        """Every create in order; when one is refused, what was started before it is cancelled as far as that goes."""
        results: list[Any] = []
        try:
            for _, _, call in wanted:
                results.append((yield from ask(call)))
        except ProviderError:
            started = [
                Member(role=step, native_id=result)
                for (step, _, call), result in zip(wanted, results, strict=False)
                if isinstance(result, str) and call.operation == "SubmitJobs"
            ]
            yield from cancel(started)
            raise
        return results

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        return (yield from query(members))

    def query_group(self, member: Member) -> str:
        """Every kind of job has its own operation, so a batch of one kind is one call."""
        return kind_of(member)

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        return (yield from cancel(members))

    def settle_time_s(self, call: Call[Any]) -> float | None:
        """None for smart production and media information: MPS keeps no list of them."""
        return self._settings.settle_time_s if call.operation in SEARCHABLE else None

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        search: Callable[[SubmitContext, Call[Any]], Flow[list[Reply]]]
        search = find_listed if call.operation in SEARCHABLE else find_hinted
        return (yield from search(ctx, call))

    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        return fold(members)

    def finish(self, members: Sequence[MemberStatus]) -> Flow[None]:
        """Write the master playlist of a ladder, or the description of a medium, where the job asked for it."""
        call = build_finish(members)
        if call is not None:
            yield from ask(call)

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        return parse_message(message)

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        return (yield from recover(seen))

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def _options(options: ProviderOptions | None) -> MpsOptions:
    return options if isinstance(options, MpsOptions) else MpsOptions()


def _named_outputs(spec: JobSpec[Any], ctx: SubmitContext) -> list[MediaURI]:
    """The files that the request itself names. What a function's placeholders become, only its result tells."""
    if ctx.output is None or (isinstance(spec, SmartProduction) and placeholders(ctx.output)):
        return []
    if isinstance(spec, Snapshot):
        return [requests.picture_of(ctx.output, number) for number in range(1, len(spec.at_s) + 1)]
    return [ctx.output]


def _member(token: str, output: TranscodeOutput, result: str | Rejected) -> Member:
    if isinstance(result, Rejected):
        absent = Absent(reason="rejected", code=result.code)
        return Member(role=output.step, native_id=f"{token}/{output.step}", output=output.uri, absent=absent)
    return Member(role=output.step, native_id=result, output=output.uri)
