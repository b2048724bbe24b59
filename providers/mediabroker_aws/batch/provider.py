"""Super-resolution on AWS Batch: metadata, manifest, one child a slice, and a merge that waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError, MissingDependencyError, ProviderError, UnsupportedError
from mediabroker.jobs import JobSpec, SuperResolution
from mediabroker.models import build_settings
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
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
    fold_members,
)
from mediabroker.states import JobState
from mediabroker_aws.batch import requests
from mediabroker_aws.batch.events import parse_event
from mediabroker_aws.batch.records import read_failure, read_result
from mediabroker_aws.batch.states import (
    explain,
    fold_progress,
    is_waiting_array,
    observe,
    parse_origin,
    refusal_error,
    unfinished,
)
from mediabroker_aws.batch.transports import BatchTransport
from mediabroker_aws.object_transport import ObjectTransport
from mediabroker_aws.options import BatchOptions
from mediabroker_aws.settings import BatchSettings

__all__ = ["BatchChain"]

_BATCH = 100
_MERGE_WEIGHT = 0.05
_ARRAY, _MERGE, _SINGLE = "array", "merge", "single"
_RESERVED = frozenset({"arrayProperties", "dependsOn", "jobName", "jobQueue", "tags", "containerOverrides"})
"""What makes a job findable and a chain a chain; `BatchOptions.extra` may not replace it."""
_USER_DATA_LIMIT_BYTES = 8192
"""It travels in the job's environment, as JSON."""


class BatchChain(Provider):
    """The direct way: one account's Batch queues in one region. See `BatchSettings`."""

    type: ClassVar[str] = "aws-batch"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        self._settings = build_settings(BatchSettings, f"providers.{name}", settings)
        self.account, self.region = self._settings.account, self._settings.region

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=("super_resolution",),
            input_schemes=frozenset({"s3"}),
            output_schemes=frozenset({"s3"}),
            options=BatchOptions,
            settle_time_s=self._settings.settle_time_s,
            poll_interval_s=self._settings.poll_interval_s,
            query_batch=_BATCH,
            rates=(RateLimit(service="batch", per_s=50, operations=("SubmitJob",)),),  # User Guide, "Service quotas"
            limits={"slices of a video": f"{requests.ARRAY_LIMIT}; slices become longer beyond that"},
        )

    def connect(self, service: str) -> Transport:
        return BatchTransport(self._settings) if service == "batch" else ObjectTransport(self._settings.s3())

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for a capacity without a queue, `extra` that would make a job unfindable, an output
                that is a folder, and what is too large to travel with the job.
            MissingDependencyError: names the command that installs what reads videos.
        """
        super().check(spec, options)
        chosen = _options(options)
        if getattr(self._settings.queues, chosen.capacity) is None:
            raise UnsupportedError(f"options.capacity: {self.name} has no queue for {chosen.capacity!r}")
        if reserved := sorted(_RESERVED & set(chosen.extra)):
            raise UnsupportedError(f"options.extra: {', '.join(reserved)} cannot be replaced")
        if spec.output is not None and spec.output.is_folder:
            raise UnsupportedError(f"output: {spec.output} is a folder; {self.name} writes one file")
        if len(spec.model_dump_json(include={"user_data"}).encode()) > _USER_DATA_LIMIT_BYTES:
            raise UnsupportedError(f"user_data: more than {_USER_DATA_LIMIT_BYTES} bytes do not fit into the job")
        if (size_bytes := requests.measure_submit(self._settings, spec, chosen)) > requests.SUBMIT_LIMIT_BYTES:
            raise UnsupportedError(
                f"user_data: with the output's name and options.extra, SubmitJob would have {size_bytes} bytes; "
                f"{requests.SUBMIT_LIMIT_BYTES} are allowed, and a character beyond ASCII takes six"
            )
        if find_spec("av") is None:
            raise MissingDependencyError(f"{self.name} reads videos with av: pip install 'mediabroker[aws]'")

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        if not isinstance(spec, SuperResolution):
            raise UnsupportedError(f"{self.name} does not run {spec.kind}")
        source = yield from ask(_read_metadata(ctx.input))
        if not spec.overwrite and ctx.output is not None:
            yield from self._refuse_existing(ctx.output)
        duration_s: Any = source.get("duration_s")
        slicing = requests.choose_slices(duration_s, spec.slice_s)
        yield from ask(requests.build_manifest(self._settings, spec, ctx, source, slicing))
        chosen = _options(options)
        if slicing.pieces == 1:  # Batch knows no array of one
            only = yield from ask(requests.build_submit(self._settings, spec, chosen, ctx, "single", step=_SINGLE))
            return Submitted(members=(Member(role=_SINGLE, native_id=only, output=ctx.output),))
        array = yield from ask(
            requests.build_submit(self._settings, spec, chosen, ctx, "slice", step=_ARRAY, size=slicing.pieces)
        )
        try:
            merge = yield from ask(
                requests.build_submit(self._settings, spec, chosen, ctx, "merge", step=_MERGE, after=array)
            )
        except ProviderError:
            yield from ask(requests.build_terminate(array))  # slices that nobody will merge
            raise
        return Submitted(
            members=(
                Member(role=_ARRAY, native_id=array),
                Member(role=_MERGE, native_id=merge, output=ctx.output),
            )
        )

    def _refuse_existing(self, output: MediaURI) -> Flow[None]:
        try:
            there = yield from ask(_head(output))
        except ProviderError as refusal:
            if refusal.provider_code != ErrorCode.INPUT_DENIED.value:
                raise
            return  # without s3:ListBucket, S3 says so of what is not there; the worker writes on condition anyway
        if there.get("version") is not None:
            raise ProviderError(
                f"{output} exists; set overwrite to replace it",
                provider=self.name,
                operation="HeadObject",
                provider_code=ErrorCode.OUTPUT_EXISTS.value,
            )

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        details = yield from _describe([member.native_id for member in members])
        waiting = {each: f"{each}:0" for each, detail in details.items() if is_waiting_array(detail)}
        children = yield from _describe(list(waiting.values()))
        seen = []
        for member in members:
            detail = details.get(member.native_id)
            if detail is None:
                seen.append(Observation(native_id=member.native_id, not_found=True))
                continue
            cause = yield from _cause(detail)
            child = children.get(waiting.get(member.native_id, ""), {})
            observed = observe(detail, member.output, cause=cause, held=child.get("statusReason"))
            if isinstance(observed.result, VideoResult):
                made = yield from read_result(detail, observed.result.outputs[0].uri)
                observed = observed.model_copy(update={"result": made or observed.result})
            seen.append(observed)
        return seen

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        details = yield from _describe([member.native_id for member in members])
        alive = [member for member in members if unfinished(details.get(member.native_id, {"status": "FAILED"}))]
        for member in reversed(alive):  # the merge first, or it would fail because its array did
            yield from ask(requests.build_terminate(member.native_id))
        return CancelOutcome.REQUESTED if alive else CancelOutcome.TOO_LATE

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:  # noqa: ARG002  the call says it all
        if call.service == "s3":
            there = yield from ask(_head(MediaURI(str(call.params["uri"]))))
            return [there] if there.get("version") is not None else []
        # In the queue that the call was sent to, whatever the settings say by now.
        found = yield from _list(str(call.params["jobQueue"]), str(call.params["jobName"]))
        return [{name: each[name] for name in ("jobArn", "jobName", "jobId")} for each in found]

    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        """The members wait for each other, so what ended the first one explains what became of the rest.

        A cancelled attempt has ended when its last member has: workers get 30 seconds to stop.
        """
        ended = [each for each in members if each.state.is_terminal]
        if members[-1].state is JobState.SUCCEEDED and all(each.state is JobState.SUCCEEDED for each in ended):
            return fold_members(members[-1:])  # it began when the others had succeeded; Batch forgets them sooner
        progress = fold_progress(members, last_weight=_MERGE_WEIGHT)
        stopped = next((at for at, each in enumerate(members, 1) if each.state is JobState.CANCELLED), len(members))
        folded = fold_members(members[:stopped])
        living = [each for each in members if not each.state.is_terminal]
        if folded.state is JobState.CANCELLED and living:
            return fold_members(living).model_copy(update={"progress": progress, "phase": "stopping"})
        return folded.model_copy(update={"progress": progress})

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        """See `Provider.parse`; `message` is an event of EventBridge."""
        return parse_event(message, account=self.account, region=self.region)

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        details = yield from _describe([seen.native_id])
        detail = details.get(seen.native_id, {})
        origin = parse_origin(detail)
        if origin is None:
            return None
        found = yield from _list(str(detail["jobQueue"]), f"{requests.PREFIX}{origin.token}-*")
        ids = {str(each["jobName"]).rpartition("-")[2]: str(each["jobId"]) for each in reversed(found)}
        if _SINGLE in ids:
            only = Member(role=_SINGLE, native_id=ids[_SINGLE], output=origin.output)
            return Recovered(origin=origin, members=(only,))
        if not {_ARRAY, _MERGE} <= ids.keys():
            return None  # the chain is still being submitted
        merge = Member(role=_MERGE, native_id=ids[_MERGE], output=origin.output)
        return Recovered(origin=origin, members=(Member(role=_ARRAY, native_id=ids[_ARRAY]), merge))

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def _options(options: ProviderOptions | None) -> BatchOptions:
    return options if isinstance(options, BatchOptions) else BatchOptions()


def _read_metadata(uri: MediaURI) -> Call[Reply]:
    return Call("s3", "ReadMetadata", {"uri": str(uri)})


def _head(uri: MediaURI) -> Call[Reply]:
    return Call("s3", "HeadObject", {"uri": str(uri)})


def _describe(ids: Sequence[str]) -> Flow[dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = {}
    for at in range(0, len(ids), _BATCH):
        details = yield from ask(requests.build_describe(ids[at : at + _BATCH]))
        found.update({str(each["jobId"]): each for each in details})
    return found


def _cause(detail: Mapping[str, Any]) -> Flow[JobError | None]:
    """Why a job failed: what its worker says, of an array one of its children; None: Batch's own word must do, or it
    did not fail."""
    if detail["status"] != "FAILED" or explain(detail).code is ErrorCode.CANCELLED:
        return None
    if not detail.get("arrayProperties", {}).get("size"):
        return (yield from read_failure(detail))
    reply: Any = yield from ask(requests.build_list_failed(detail["jobId"]))
    failed = [each["jobId"] for each in reply["jobSummaryList"]]
    details = (yield from ask(requests.build_describe(failed))) if failed else []
    if not details:
        return None
    said = yield from read_failure(details[0])
    error = said or explain(details[0])
    index = str(details[0]["jobId"]).partition(":")[2]
    return error.model_copy(update={"message": f"slice {index}: {error.message}"})


def _list(queue: str, name: str) -> Flow[list[dict[str, Any]]]:
    """All jobs of that name, the earliest first."""
    found: list[dict[str, Any]] = []
    page: str | None = None
    while True:
        reply: Any = yield from ask(requests.build_list(queue, name, page))
        found += reply["jobSummaryList"]
        page = reply.get("nextToken")
        if not page:
            return sorted(found, key=lambda each: int(each.get("createdAt", 0)))
