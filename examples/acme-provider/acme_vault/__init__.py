"""A third party's provider: a vault that keeps copies of films, behind a small HTTP API with an API key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from acme_vault.wire import VaultTransport
from mediabroker.errors import ErrorCode, JobError, ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.results import JobResult, Output
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
    ask,
)
from mediabroker.states import JobState

STATES = {
    "waiting": JobState.QUEUED,
    "copying": JobState.RUNNING,
    "kept": JobState.SUCCEEDED,
    "broken": JobState.FAILED,
    "withdrawn": JobState.CANCELLED,
}
CODES = {401: ErrorCode.AUTH, 403: ErrorCode.AUTH, 422: ErrorCode.INVALID_SPEC, 429: ErrorCode.RATE_LIMITED}


class ArchiveCopy(JobSpec[JobResult], frozen=True):
    """Keep a copy of the input in the vault's own folder tree."""

    kind: Literal["archive_copy"] = "archive_copy"


class VaultProvider(Provider):
    """Settings: `endpoint` (URL) and `api_key`."""

    type = "acme-vault"

    def capabilities(self) -> Capabilities:
        scheme = frozenset({"file"})
        return Capabilities(
            kinds=("archive_copy",),
            input_schemes=scheme,
            output_schemes=scheme,
            query_batch=50,
            poll_interval_s=0.05,
        )

    def connect(self, service: str) -> VaultTransport:
        return VaultTransport(self.name, self.settings["endpoint"], self.settings["api_key"])

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        wanted = {"token": ctx.token_of("copy"), "source": ctx.input, "target": ctx.output}
        stand_in = {"copy": "<copy.id>", **wanted}
        native_id = yield from ask(Call("vault", "POST /copies", wanted, "create", "copy", copy_id, stand_in))
        return Submitted(members=(Member(role="copy", native_id=native_id, output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        ids = [member.native_id for member in members]
        found = {}
        for at in range(0, len(ids), self.capabilities().query_batch):
            batch = ids[at : at + self.capabilities().query_batch]
            reply = yield from ask(Call("vault", "GET /copies", {"ids": ",".join(batch)}))
            found.update({each["copy"]: each for each in reply["copies"]})
        return [observe(found[each]) if each in found else Observation(native_id=each, not_found=True) for each in ids]

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        outcome = CancelOutcome.CANCELLED
        for member in members:
            reply = yield from ask(Call("vault", "POST /withdrawals", {"copy": member.native_id}, "cancel"))
            if reply["word"] != "withdrawn":
                outcome = CancelOutcome.TOO_LATE
        return outcome

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        reply: Any = yield from ask(Call("vault", "GET /copies", {"token": ctx.token_of(call.step)}))
        return list(reply["copies"])

    def parse(self, message: Mapping[str, Any]) -> list[Observation] | None:
        film = message.get("film")
        if message.get("from") != "acme-vault" or not isinstance(film, dict) or not isinstance(film.get("copy"), str):
            return None
        return [observe(film)]

    def classify(self, failure: ProviderError) -> JobError:
        status = int(failure.provider_code) if (failure.provider_code or "").isdecimal() else 0
        usual = ErrorCode.PROVIDER_INTERNAL if failure.retryable else ErrorCode.UNKNOWN
        return JobError.of(CODES.get(status, usual), str(failure), provider_code=failure.provider_code)


def copy_id(reply: Reply) -> str:
    native_id = reply.get("copy")
    if not isinstance(native_id, str) or not native_id:
        raise ValueError("the vault's answer names no copy")
    return native_id


def observe(film: Mapping[str, Any]) -> Observation:
    word, target, done = film.get("word"), film.get("target"), film.get("done")
    state = STATES.get(word) if isinstance(word, str) else None
    kept = JobResult(outputs=(Output(uri=target),)) if state is JobState.SUCCEEDED and isinstance(target, str) else None
    reason = JobError.of(ErrorCode.INPUT_NOT_FOUND, str(film.get("reason"))) if state is JobState.FAILED else None
    return Observation(
        native_id=film["copy"],
        state=state,
        phase=str(word),
        progress=min(1.0, max(0.0, float(done))) if isinstance(done, int | float) else None,
        error=reason,
        result=kept,
        token=film["token"] if isinstance(film.get("token"), str) else None,
        raw=dict(film),
    )
