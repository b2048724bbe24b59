"""Transcodes by the transcoding service: one request, one member for each file, which its own status follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError, ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.models import build_settings
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
    ask,
)
from mediabroker_aws.batch.states import refusal_error
from mediabroker_aws.options import LambdaOptions
from mediabroker_aws.service.provider import guarded
from mediabroker_aws.settings import LambdaSettings
from mediabroker_aws.transcoder import requests, states
from mediabroker_aws.transcoder.status import Status
from mediabroker_aws.transcoder.transports import FunctionTransport, HttpTransport, StorageTransport
from mediabroker_aws.transcoder.wire import Names, TranscodeRequest, build_entry

__all__ = ["LambdaProvider"]

_FILE = "file"
_FILES_LIMIT = 1000
"""Each is asked for by a request of its own."""
_CANCEL_TRIES = 20
"""A status changes every 15 s at most, so a refused condition is rare, and many in a row are out of the question."""


class LambdaProvider(Provider):
    """One deployment of the transcoding service. See `LambdaSettings`."""

    type: ClassVar[str] = "aws-lambda"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, guarded(settings))
        self._settings = build_settings(LambdaSettings, f"providers.{name}", settings)
        self.account, self.region = self._settings.account, self._settings.region

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=("transcode",),
            input_schemes=frozenset({"s3"}),
            output_schemes=frozenset({"s3"}),
            options=LambdaOptions,
            settle_time_s=self._settings.settle_time_s,
            poll_interval_s=self._settings.poll_interval_s,
            query_batch=1,
            limits={
                "files of a folder": f"{_FILES_LIMIT}",
                "length of a video": "what one Lambda function encodes in 15 minutes",
            },
        )

    def connect(self, service: str) -> Transport:
        if service == "s3":
            return StorageTransport(self._settings)
        return HttpTransport(self._settings) if self._settings.url else FunctionTransport(self._settings)

    def check(self, spec: JobSpec[Any], options: ProviderOptions | None) -> None:
        """See `Provider.check`.

        Raises:
            UnsupportedError: also for what the service's fields cannot say, such as an output that is no folder.
        """
        super().check(spec, options)
        requests.check_expressible(self.name, requests.transcode_of(spec, self.name), _options(options))

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        wanted, chosen = requests.transcode_of(spec, self.name), _options(options)
        source = None if ctx.input.is_folder else (yield from ask(requests.build_read_metadata(ctx.input)))
        request = requests.build_request(wanted, chosen, ctx, source)
        members = yield from self._members(request)
        yield from ask(requests.build_submit(request, chosen))
        return Submitted(members=tuple(members))

    def _members(self, request: TranscodeRequest) -> Flow[list[Member]]:
        """One for each file that the request names, as it lies there now."""
        keys = yield from _sources(request)
        members = [_member(request, key) for key in keys]
        refusal = None
        if not members:
            refusal = (ErrorCode.INPUT_NOT_FOUND, f"there is nothing in s3://{request.bucket}/{request.src}")
        elif len(members) > _FILES_LIMIT:
            refusal = (ErrorCode.QUOTA, f"{len(members)} files in one folder; at most {_FILES_LIMIT} are followed")
        if refusal:
            code, message = refusal
            raise ProviderError(message, provider=self.name, operation="ListObjects", provider_code=code.value)
        return members

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        seen = []
        for member in members:
            observation = yield from self._look(member)
            seen.append(observation)
        return seen

    def _look(self, member: Member) -> Flow[Observation]:
        work = member.native_id
        if member.absent is not None:
            return states.observe_refused(member, member.absent)
        reply: Any = yield from ask(requests.build_status(work))
        if reply["status"] is not None:
            return states.observe(work, reply, silent_after_s=self._settings.silent_after_s)
        output = member.output or requests.output_of(work)
        if output is not None:
            there = yield from ask(requests.build_head(output))
            if there["size_bytes"]:
                return states.observe_existing(work, output)
        return Observation(native_id=work, not_found=True)

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        done = False
        for member in members:
            if member.absent is None:
                ended = yield from _cancel(member.native_id)
                done = done or ended
        return CancelOutcome.CANCELLED if done else CancelOutcome.TOO_LATE

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:  # noqa: ARG002  the call says it all
        """The answer, made up from what lies in S3; none unless every file was taken: to ask again harms nobody."""
        fields = {name: value for name, value in call.params.items() if name in TranscodeRequest.model_fields}
        request = TranscodeRequest.model_validate(fields)
        keys, entries = (yield from _sources(request)), list[JsonValue]()
        taken = False
        for key in keys:
            names = requests.names_of(request, key)
            if isinstance(names, str):
                entries.append({"src": key, "error": names})
                continue
            reply = yield from ask(requests.build_status(names.work))
            there = reply["status"] or (yield from ask(requests.build_head(names.output)))["size_bytes"]
            if not there:
                return []
            taken = True
            taken_as: Literal["transcode", "exist"] = "transcode" if reply["status"] else "exist"
            entries.append(build_entry(names, taken_as, "no" if reply["status"] else "exist"))
        return [{"videos": entries}] if taken else []

    def fold(self, members: Sequence[MemberStatus]) -> Observation:
        """See `Provider.fold`: over when each file is; one bad file never stops the others."""
        return states.fold_files(members)

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        """See `Provider.parse`; `message` is a completion, or Lambda's record of an invocation that failed."""
        return states.parse_message(message, region=self.region)

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        """See `Provider.recover`; the origin is in the work's status, in the bucket that the message names."""
        reply: Any = yield from ask(requests.build_status(seen.native_id))
        if reply["status"] is None:
            return None
        request = Status.model_validate(reply["status"]).request
        if request.origin is None or request.time != requests.build_time(request.origin.token):
            return None
        members = yield from self._members(request)
        if seen.native_id not in {each.native_id for each in members}:
            return None  # a status that lies elsewhere than the work that it describes
        return Recovered(origin=request.origin, members=tuple(members), proof="token")

    def classify(self, failure: ProviderError) -> JobError:
        return refusal_error(failure)


def _options(options: ProviderOptions | None) -> LambdaOptions:
    return options if isinstance(options, LambdaOptions) else LambdaOptions()


def _sources(request: TranscodeRequest) -> Flow[list[str]]:
    if not request.is_folder:
        return [request.src]
    reply: Any = yield from ask(requests.build_list(request.bucket, request.src))
    return [key for key in reply["keys"] if not key.endswith("/")]


def _member(request: TranscodeRequest, key: str) -> Member:
    names = requests.names_of(request, key)
    if isinstance(names, Names):
        return Member(role=_FILE, native_id=names.work, output=names.output)
    return states.build_refused(_FILE, request.bucket, key, names)


def _cancel(work: str) -> Flow[bool]:
    """Whether the work was still to be cancelled. What is being published is not: its output may be there already."""
    for _ in range(_CANCEL_TRIES):
        reply: Any = yield from ask(requests.build_status(work))
        if reply["status"] is None or reply["status"]["state"] not in ("queued", "running"):
            return False
        answer = yield from ask(requests.build_cancel(work, reply["version"]))
        if answer["cancelled"]:
            return True
    return False
