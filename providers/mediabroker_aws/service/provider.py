"""Super-resolution through the service's HTTP endpoint: for callers who hold an API key and no more.

The service keeps the promises of the direct way itself: its job is the whole chain, an `Idempotency-Key` starts one job
however often it is sent, and a job has succeeded when its output is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import JsonValue, SecretStr, ValidationError

from mediabroker.errors import JobError, ProviderError, UnsupportedError
from mediabroker.jobs import JobSpec, SuperResolution
from mediabroker.models import build_settings
from mediabroker.refs import MediaURI, token_for
from mediabroker.results import VideoResult
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Capabilities,
    Flow,
    Member,
    Observation,
    Origin,
    Provider,
    ProviderOptions,
    Recovered,
    Reply,
    SubmitContext,
    Submitted,
    Transport,
    ask,
)
from mediabroker.states import JobState
from mediabroker_aws.batch.events import parse_event
from mediabroker_aws.batch.states import refusal_error
from mediabroker_aws.options import BatchOptions
from mediabroker_aws.service.transport import ServiceTransport
from mediabroker_aws.service.wire import ID_FORM, NOT_FOUND, QUERY_LIMIT, JobView
from mediabroker_aws.settings import ServiceSettings

__all__ = ["ENVS", "BatchService", "check_common", "guarded"]

ENVS: Mapping[str, str] = {"spot": "spot", "on_demand": "onDemand"}
"""What the service calls a capacity."""
_STEP = "job"


class BatchService(Provider):
    """The way over HTTP. See `ServiceSettings`."""

    type: ClassVar[str] = "aws-batch"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, guarded(settings))
        self._settings = build_settings(ServiceSettings, f"providers.{name}", settings)
        self.account, self.region = self._settings.account, self._settings.region

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=("super_resolution",),
            input_schemes=frozenset({"s3"}),
            output_schemes=frozenset({"s3"}),
            options=BatchOptions,
            settle_time_s=self._settings.settle_time_s,
            poll_interval_s=self._settings.poll_interval_s,
            query_batch=QUERY_LIMIT,
            limits={"bucket": f"inputs and outputs lie in {self._settings.bucket}, the service's bucket"},
        )

    def connect(self, service: str) -> Transport:  # noqa: ARG002  there is one
        return ServiceTransport(self._settings)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for media outside of the service's bucket, an output that is a folder, and `extra`.
        """
        super().check(spec, options)
        check_common(self.name, self._settings, spec, options)

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        if not isinstance(spec, SuperResolution):
            raise UnsupportedError(f"{self.name} does not run {spec.kind}")
        job_id = yield from ask(_build_order(spec, options, ctx))
        return Submitted(members=(Member(role=_STEP, native_id=job_id, output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        ids = list(dict.fromkeys(member.native_id for member in members))
        views: dict[str, Reply] = {}
        for at in range(0, len(ids), QUERY_LIMIT):
            found = yield from ask(_build_query({"ids": ",".join(ids[at : at + QUERY_LIMIT])}))
            views.update({str(each["id"]): each for each in found})
        return [_observe(each, views.get(each)) for each in ids]

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        outcomes = []
        for member in members:
            call = Call[Reply]("service", "DELETE", {"path": f"/jobs/{member.native_id}"}, "cancel")
            try:
                view = JobView.model_validate((yield from ask(call)))
            except ProviderError as refusal:
                if refusal.provider_code != NOT_FOUND:
                    raise
                continue
            outcomes.append(view.outcome)
        granted = (CancelOutcome.REQUESTED, CancelOutcome.CANCELLED)
        return CancelOutcome.REQUESTED if any(each in granted for each in outcomes) else CancelOutcome.TOO_LATE

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:  # noqa: ARG002  the call says it all
        return (yield from ask(_build_query({"token": str(call.params["idempotency_key"])})))

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        """Batch's events name the service's job in their origin. The token there is the service's, not a broker's."""
        said = parse_event(message, account=self.account, region=self.region) or []
        named = [(each.origin.job_id, each) for each in said if each.origin]
        return [
            each.model_copy(update={"native_id": job_id, "token": None})
            for job_id, each in named
            if re.fullmatch(ID_FORM, job_id)
        ] or None

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        """See `Provider.recover`; what the service tells of its job is the origin."""
        found = yield from ask(_build_query({"ids": seen.native_id}))
        mine = [each for each in found if each.get("id") == seen.native_id and "output" in each]
        if not mine:
            return None
        output = MediaURI(f"s3://{self._settings.bucket}/{mine[0]['output']}")
        token = token_for(seen.native_id, 1)
        origin = Origin(job_id=seen.native_id, kind=SuperResolution.model_fields["kind"].default, token=token)
        origin = origin.model_copy(update={"output": output})
        return Recovered(origin=origin, members=(Member(role=_STEP, native_id=seen.native_id, output=output),))

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def guarded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the key out of sight of `repr`."""
    key = settings.get("api_key")
    return {**settings, **({"api_key": SecretStr(key)} if isinstance(key, str) else {})}


def check_common(name: str, settings: ServiceSettings, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
    """What neither the service nor its original can express.

    Raises:
        UnsupportedError: names the field, its value and what would be right.
    """
    for field, uri in (("input", spec.input), ("output", spec.output)):
        if uri is not None and uri.bucket != settings.bucket:
            raise UnsupportedError(f"{field}: {uri} does not lie in {settings.bucket}, the bucket that {name} serves")
        if uri is not None and uri.is_folder:
            raise UnsupportedError(f"{field}: {uri} is a folder; {name} takes one file")
    if options is not None and options.extra:
        raise UnsupportedError(f"options.extra: {name} speaks to a service, which passes on nothing of Batch's own")


_NAMED_OTHERWISE = {"kind", "input", "output", "scale", "debug", "slice_s", "labels", "user_data"}
"""Fields of a spec that an order has under names of its own, or not at all; all others travel as they are."""


def _build_order(spec: SuperResolution, options: ProviderOptions | None, ctx: SubmitContext) -> Call[str]:
    chosen = options if isinstance(options, BatchOptions) else BatchOptions()
    assert ctx.output is not None
    own = spec.model_dump(mode="json", exclude=_NAMED_OTHERWISE, exclude_defaults=True)
    body: dict[str, JsonValue] = {
        "key": ctx.input.key,
        "scale": spec.scale,
        "task": "debug" if spec.debug else "inference",
        "env": ENVS[chosen.capacity],
        "output": ctx.output.key,
        **own,
    }
    if spec.slice_s != SuperResolution.model_fields["slice_s"].default:  # else the service's own default holds
        body["segment_time"] = spec.slice_s
    return Call(
        "service",
        "POST",
        {"path": "", "body": body, "idempotency_key": ctx.token_of(_STEP)},
        "create",
        _STEP,
        read=_read_id,
        stand_in={"id": f"<{_STEP}.id>"},
    )


def _build_query(asked: Mapping[str, JsonValue]) -> Call[list[Reply]]:
    return Call("service", "GET", {"path": "/jobs", "query": dict(asked)}, read=_read_jobs)


def _observe(native_id: str, reply: Reply | None) -> Observation:
    if reply is None:
        return Observation(native_id=native_id, not_found=True)
    try:
        view = JobView.model_validate(reply)
    except ValidationError:
        # A state that this release does not know; none where the service cannot tell of the job now.
        return Observation(native_id=native_id, phase=str(reply.get("state", "not known now")), raw=dict(reply))
    is_submitting = view.state is JobState.SUBMITTING
    return Observation(
        native_id=native_id,
        state=JobState.QUEUED if is_submitting else view.state,
        phase="submitting" if is_submitting else view.phase,
        progress=view.progress,
        error=view.error,
        result=VideoResult(outputs=view.outputs) if view.state is JobState.SUCCEEDED else None,
        raw=dict(reply),
    )


def _read_id(reply: Reply) -> str:
    job_id = reply.get("id")
    if not isinstance(job_id, str) or not re.fullmatch(rf"{ID_FORM}|<{_STEP}\.id>", job_id):
        raise ValueError(f"the service's answer names no job: {job_id!r}")
    return job_id


def _read_jobs(reply: Reply) -> list[Reply]:
    jobs: Any = reply["jobs"]
    return list(jobs)
