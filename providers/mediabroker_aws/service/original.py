"""Super-resolution through a deployment of the service's original, which starts jobs and tells nothing more of them.

It answers with plain text that names one vendor job in the middle of its chain, has no way to ask, to search or to
cancel, and chooses the output's name itself. What remains is a look into S3: the job is done when its output is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

from mediabroker.errors import ErrorCode, JobError, ProviderError, UnsupportedError
from mediabroker.jobs import JobSpec, SuperResolution
from mediabroker.models import build_settings
from mediabroker.refs import MediaURI
from mediabroker.results import Output, VideoResult
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Capabilities,
    Flow,
    Member,
    Observation,
    Provider,
    ProviderOptions,
    Reply,
    SubmitContext,
    Submitted,
    Transport,
    ask,
)
from mediabroker.states import JobState
from mediabroker_aws.batch.states import refusal_error
from mediabroker_aws.object_transport import ObjectTransport
from mediabroker_aws.options import BatchOptions
from mediabroker_aws.service.provider import ENVS, check_common, guarded
from mediabroker_aws.service.transport import ServiceTransport
from mediabroker_aws.settings import ServiceSettings

__all__ = ["OriginalService", "original_output"]

_STARTED = re.compile(r"started, SuperResolution Job Id is: #(?P<id>[A-Za-z0-9-]{8,64}|<job\.id>)#")
"""Source: awslabs/ai-video-super-resolution 2.2.0, the function's answer."""
_FIXED = ("model", "deinterlace", "encoder", "debug", "overwrite")
"""Fields that must have their default: there is no word for them. Its `debug` makes no video."""


class OriginalService(Provider):
    """The way to a deployment of the original. See `ServiceSettings`; looking at the output needs AWS credentials."""

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
            cancel=False,
            progress=False,
            settle_time_s=None,
            poll_interval_s=self._settings.poll_interval_s,
            limits={
                "output": "s3://<bucket>/<key with / as #>_BSR<suffix>, chosen by the service",
                "failures": "are not told; give the wait a deadline",
            },
        )

    def connect(self, service: str) -> Transport:
        return ObjectTransport(self._settings.s3()) if service == "s3" else ServiceTransport(self._settings)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for another output than the service will choose, slices that are no whole seconds,
                and every other wish that it has no word for.
        """
        super().check(spec, options)
        check_common(self.name, self._settings, spec, options)
        for field in _FIXED:
            default = SuperResolution.model_fields[field].default
            if (given := getattr(spec, field)) != default:
                raise UnsupportedError(f"{field}: {given!r}: the original service knows only {default!r}")
        if isinstance(spec, SuperResolution) and spec.slice_s != int(spec.slice_s):
            raise UnsupportedError(f"slice_s: {spec.slice_s:g}: the original service takes whole seconds")
        expected = original_output(spec.input)
        if spec.output != expected:
            raise UnsupportedError(f"output: {spec.output}: the original service writes {expected}")

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        if not isinstance(spec, SuperResolution) or ctx.output is None:
            raise UnsupportedError(f"{self.name} does not run {spec.kind}")
        if (yield from _is_there(ctx.output)):
            raise ProviderError(
                f"{ctx.output} exists, and the original service would replace it unasked",
                provider=self.name,
                operation="HeadObject",
                provider_code=ErrorCode.OUTPUT_EXISTS.value,
            )
        job_id = yield from ask(_build_order(spec, options, ctx.input))
        return Submitted(members=(Member(role="job", native_id=job_id, output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        seen = []
        for member in members:
            output = member.output
            there = output is not None and (yield from _is_there(output))
            state = JobState.SUCCEEDED if there else JobState.RUNNING
            result = VideoResult(outputs=(Output(uri=output),)) if there and output is not None else None
            raw = {"output": str(output), "exists": there}
            seen.append(Observation(native_id=member.native_id, state=state, result=result, raw=raw))
        return seen

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:  # noqa: ARG002  it cannot be asked to
        yield from ()
        return CancelOutcome.UNSUPPORTED

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def original_output(source: MediaURI) -> MediaURI:
    """Where the original writes: in the bucket's root, with `#` for each `/` of the key.

    Source: awslabs/ai-video-super-resolution 2.2.0, the function's `key_store` and the worker's merge.
    """
    name = PurePosixPath(source.key.replace("/", "#"))
    return MediaURI(f"s3://{source.bucket}/{name.stem}_BSR{name.suffix}")


def _is_there(output: MediaURI) -> Flow[bool]:
    """Whether the object can be seen; without `s3:ListBucket`, S3 says "denied" of what is not there."""
    try:
        found = yield from ask(Call[Reply]("s3", "HeadObject", {"uri": str(output)}))
    except ProviderError as refusal:
        if refusal.provider_code != ErrorCode.INPUT_DENIED.value:
            raise
        return False
    return found.get("version") is not None


def _build_order(spec: SuperResolution, options: ProviderOptions | None, source: MediaURI) -> Call[str]:
    chosen = options if isinstance(options, BatchOptions) else BatchOptions()
    body: dict[str, Any] = {
        "key": source.key,
        "scale": spec.scale,
        "task": "inference",
        "env": ENVS[chosen.capacity],
        "segment_time": str(int(spec.slice_s)),  # a number would break it: Batch's parameters are text
    }
    stand_in = {"text": f"{source.key} started, SuperResolution Job Id is: #<job.id>#"}
    return Call("service", "POST", {"path": "", "body": body}, "create", "job", read=_read_id, stand_in=stand_in)


def _read_id(reply: Reply) -> str:
    found = _STARTED.search(str(reply.get("text", "")))
    if found is None:
        raise ValueError(f"the service's answer names no job: {str(reply)[:200]}")
    return found["id"]
