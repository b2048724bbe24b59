"""A vendor whose truth lies outside the process under test: an append-only, flushed ledger of what it has accepted.

It behaves like the worst of the real ones: no client token, several creates per job, searchable by name only after a
while, and it can be told to lose its answers, to refuse, or to kill whoever calls it, before or after the effect.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from mediabroker.errors import ErrorCode, JobError, ProviderError, ThrottledError, UnavailableError
from mediabroker.jobs import JobSpec
from mediabroker.refs import Scheme
from mediabroker.results import Frames, JobResult, Output
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

WORDS: Mapping[str, JobState] = {
    "waiting": JobState.QUEUED,
    "working": JobState.RUNNING,
    "done": JobState.SUCCEEDED,
    "broken": JobState.FAILED,
    "stopped": JobState.CANCELLED,
}


class LedgerOptions(ProviderOptions, frozen=True):
    """Options of the ledger vendor."""

    provider = "ledger"
    priority: int = 0


class LedgerSettings(BaseModel):
    """How the vendor behaves. `fault` is `<step>:<kind>`, kind one of the words in `Ledger.start`."""

    model_config = ConfigDict(extra="forbid")

    folder: Path
    steps: tuple[str, ...] = ("array", "merge")
    settle_time_s: float | None = 0.0
    fault: str = ""
    outages: int = 0
    """How many reads are refused before the vendor is up again."""
    cancel: bool = True
    flow_version: int = 1
    queue: str = "q1"
    schemes: frozenset[Scheme] = frozenset({"file"})
    """What it reads and writes."""


class Ledger:
    """The vendor's own side."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "ledger.jsonl"
        self._words = folder / "words.json"
        self.calls: list[Call[Any]] = []

    def accepted(self) -> list[dict[str, Any]]:
        """Every job that was ever started, in order."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def words(self) -> dict[str, Any]:
        return json.loads(self._words.read_text()) if self._words.exists() else {}

    def say(self, native_id: str, word: str, **details: Any) -> None:
        """Bring a job to the state that `word` stands for."""
        temporary = self._words.with_suffix(".new")
        temporary.write_text(json.dumps({**self.words(), native_id: {"word": word, **details}}))
        temporary.replace(self._words)

    def start(self, call: Call[Any], fault: str) -> Reply:
        step, _, kind = fault.partition(":")
        kind = kind if step == call.step else ""
        if kind == "die-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "unheard":
            raise ConnectionResetError("the call was lost")
        if kind == "refuse":
            raise ProviderError("no such queue", provider_code="ClientException", request_id="r-1")
        if kind == "throttle" and len([each for each in self.calls if each.step == step]) < 3:
            raise ThrottledError("slow down", provider_code="TooManyRequests", retry_after_s=0.001)
        native_id = f"job-{len(self.accepted())}"
        with self._file.open("a") as file:
            file.write(json.dumps({"id": native_id, "step": call.step, **call.params}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.say(native_id, "waiting")
        if kind == "die-after":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "reset":
            raise ConnectionResetError("the answer was lost")
        if kind == "no-id":
            return {}
        return {"jobId": native_id}


class Notice(BaseModel):
    """What the vendor writes into a queue when a job of its changes."""

    model_config = ConfigDict(extra="ignore")

    id: str
    word: str
    origin: Origin | None = None


def notice(ledger: Ledger, native_id: str, word: str = "") -> bytes:
    """The message about a job as it is now, or as `word` claims it to be."""
    job = next(each for each in ledger.accepted() if each["id"] == native_id)
    said = word or ledger.words()[native_id]["word"]
    return json.dumps({"from": "ledger", "id": native_id, "word": said, "origin": job["origin"]}).encode()


class LedgerTransport:
    """Performs calls on the ledger of one folder."""

    def __init__(self, ledger: Ledger, settings: LedgerSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._outages: list[Call[Any]] = []

    def perform(self, call: Call[Any]) -> Reply:
        self._ledger.calls.append(call)
        if call.effect == "read" and self._settings.outages > len(self._outages):
            self._outages.append(call)
            raise UnavailableError("out of order", retry_after_s=0.001)
        if call.operation == "SubmitJob":
            return self._ledger.start(call, self._settings.fault)
        if call.operation == "ListJobs":
            found = [each["id"] for each in self._ledger.accepted() if each["name"] == call.params["name"]]
            return {"jobs": [{"jobId": each} for each in found]}
        if call.operation == "DescribeJobs":
            words = self._ledger.words()
            origins = {each["id"]: each.get("origin") for each in self._ledger.accepted()}
            known = [each for each in call.params["ids"] if each in words]
            return {"jobs": [{"id": each, "origin": origins.get(each), **words[each]} for each in known]}
        for each in call.params["ids"]:
            known = self._ledger.words()[each]
            if known["word"] not in ("done", "broken"):
                self._ledger.say(each, **{**known, "word": "stopped"})
        return {}

    def close(self) -> None:
        return None


class LedgerProvider(Provider):
    """A chain of jobs on the ledger vendor; the last one makes the output."""

    type = "ledger"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__(name, settings)
        self.options = LedgerSettings.model_validate(settings)
        self.ledger = Ledger(self.options.folder)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=("transcode", "super_resolution"),
            input_schemes=self.options.schemes,
            output_schemes=self.options.schemes,
            options=LedgerOptions,
            cancel=self.options.cancel,
            settle_time_s=self.options.settle_time_s,
            poll_interval_s=0.01,
            lost_after_s=60.0,
            flow_version=self.options.flow_version,
        )

    def connect(self, service: str) -> Transport:
        assert service == "ledger"
        return LedgerTransport(self.ledger, self.options)

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:
        members: list[Member] = []
        try:
            for step in self.options.steps:
                native_id = yield from ask(self._start(step, spec, ctx, [each.native_id for each in members]))
                members.append(Member(role=step, native_id=native_id, output=ctx.output))
        except ProviderError:
            # A chain that cannot be completed must not leave its beginning behind.
            yield from self.cancel(members)
            raise
        return Submitted(members=tuple(members))

    def _start(self, step: str, spec: JobSpec[Any], ctx: SubmitContext, after: Sequence[str]) -> Call[str]:
        return Call(
            service="ledger",
            operation="SubmitJob",
            params={
                "name": ctx.token_of(step),
                "after": list(after),
                "input": str(ctx.input),
                "output": str(ctx.output),
                "queue": self.options.queue,
                "origin": ctx.origin(spec).model_dump(mode="json"),
            },
            effect="create",
            step=step,
            read=lambda reply: str(reply["jobId"]),
            stand_in={"jobId": f"<{step}.jobId>"},
        )

    def parse(self, message: Mapping[str, JsonValue]) -> list[Observation] | None:
        if message.get("from") != "ledger":
            return None
        said = Notice.model_validate(message)
        token = said.origin.token if said.origin else None
        return [Observation(native_id=said.id, state=WORDS.get(said.word), token=token, origin=said.origin)]

    def recover(self, seen: Observation) -> Flow[Recovered | None]:
        (told,) = yield from self.query([Member(role="job", native_id=seen.native_id)])
        origin = told.origin
        if origin is None:
            return None
        names = [f"{origin.token}-{step}" for step in self.options.steps]
        found = []
        for step, name in zip(self.options.steps, names, strict=True):
            reply: Any = yield Call("ledger", "ListJobs", {"name": name})
            found += [Member(role=step, native_id=each["jobId"], output=origin.output) for each in reply["jobs"]]
        return Recovered(origin=origin, members=tuple(found)) if len(found) == len(names) else None

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
        reply = yield Call("ledger", "ListJobs", {"name": call.params["name"]})
        jobs: Any = reply["jobs"]
        return list(jobs)

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        reply = yield Call("ledger", "DescribeJobs", {"ids": [member.native_id for member in members]})
        jobs: Any = reply["jobs"]
        known = {each["id"]: each for each in jobs}
        return [self._observe(member, known.get(member.native_id)) for member in members]

    def _observe(self, member: Member, job: dict[str, Any] | None) -> Observation:
        if job is None:
            return Observation(native_id=member.native_id, not_found=True)
        state = WORDS.get(job["word"])
        failed = state is JobState.FAILED
        raw = {name: value for name, value in job.items() if name != "origin"}
        return Observation(
            native_id=member.native_id,
            state=state,
            phase=job["word"],
            vendor_attempt=job.get("attempt", 0),
            progress=job.get("progress"),
            frames=Frames(**job["frames"]) if job.get("frames") else None,
            error=JobError.of(ErrorCode.PROVIDER_INTERNAL, "it broke", raw=raw) if failed else None,
            result=JobResult(outputs=(Output(uri=member.output),))
            if state is JobState.SUCCEEDED and member.output
            else None,
            origin=Origin.model_validate(job["origin"]) if job.get("origin") else None,
            raw=raw,
        )

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        if members:
            yield Call("ledger", "TerminateJobs", {"ids": [member.native_id for member in members]}, "cancel")
        return CancelOutcome.REQUESTED

    def classify(self, failure: ProviderError) -> JobError:
        code = ErrorCode.RATE_LIMITED if isinstance(failure, ThrottledError) else ErrorCode.PROVIDER_INTERNAL
        return JobError.of(code, str(failure), provider_code=failure.provider_code, request_id=failure.request_id)
