"""A vendor that does what a test tells it: for tests of programs that use the broker.

    mediabroker.vendor.script(job, ["queued", ("running", 0.4), "preempted", "running", "succeeded"])

Each look at a job takes it one step further, and the last step stays. What succeeds leaves an object at its output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

from pydantic import JsonValue

from mediabroker.broker import Job
from mediabroker.errors import ErrorCode, JobError, MediaBrokerError, MediaError, ProviderError
from mediabroker.flows import Call, Flow, Reply, ask
from mediabroker.jobs import JobSpec, known_kinds
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, Output
from mediabroker.spi import (
    CancelOutcome,
    Capabilities,
    Member,
    Observation,
    Provider,
    ProviderOptions,
    SubmitContext,
    Submitted,
)
from mediabroker.states import JobState

__all__ = ["MemoryStore", "ScriptError", "ScriptedProvider", "ScriptedVendor", "Step"]

Step = str | tuple[str, float] | tuple[str, ErrorCode]
"""`queued`, `running`, `preempted` (the vendor starts over), `succeeded`, `failed`, `cancelled`; progress from 0 to 1
beside `running`, an error code beside `failed`."""

_STATES: Mapping[str, JobState] = {
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "preempted": JobState.QUEUED,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}
_USUAL: Sequence[Step] = ("queued", "running", "succeeded")
_SCHEMES = ("s3", "oss")
_FILE = "output"


class ScriptError(MediaBrokerError, ValueError):
    """No vendor could play the script, or the job is not on this one."""


class MemoryStore:
    """An `ObjectStore` for any scheme; objects live as long as it does. Thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = Lock()

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        with self._lock:
            body = self._objects.get(str(uri))
        return None if body is None else ObjectStat(len(body), hashlib.sha256(body).hexdigest())

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        with self._lock:
            if str(uri) not in self._objects:
                raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{uri} does not exist")
            body = self._objects[str(uri)][start:]
        yield body

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        body = b"".join(chunks)
        with self._lock:
            there = self._objects.get(str(uri))
            if if_version is not None and (there is None or hashlib.sha256(there).hexdigest() != if_version):
                raise MediaError(ErrorCode.INPUT_CHANGED, f"{uri} is not of version {if_version} any more")
            if there is not None and not (overwrite or if_version):
                raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{uri} exists; set overwrite to replace it")
            self._objects[str(uri)] = body
        return ObjectStat(len(body), hashlib.sha256(body).hexdigest())

    def delete(self, uri: MediaURI) -> None:
        with self._lock:
            self._objects.pop(str(uri), None)

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        with self._lock:
            names = [name for name in self._objects if name.startswith(str(folder))]
        return iter([MediaURI(name) for name in names])

    def close(self) -> None:
        """Nothing: a broker that is opened again finds the objects."""


@dataclass
class _Play:
    """One vendor job: where in its script it is, and how often it was started over."""

    token: str
    output: MediaURI | None
    steps: Sequence[Step] = _USUAL
    at: int = 0
    starts: int = 1


class ScriptedVendor:
    """The vendor's side. Thread-safe. `objects` is what lies in its stores."""

    def __init__(self) -> None:
        self.objects = MemoryStore()
        self._plays: dict[str, _Play] = {}
        self._lock = Lock()

    def script(self, job: Job[Any], steps: Sequence[Step]) -> None:
        """What the next looks at a job find, one step each; the last one stays.

        Raises:
            ScriptError: a step is none, has something beside it that it cannot have, or the job is not on this vendor.
        """
        for step in steps:
            _check(step)
        if not steps:
            raise ScriptError('steps: a script needs one at least, as ["succeeded"]')
        ids = [member.native_id for member in job.ref.members]
        with self._lock:
            if not ids or not self._plays.keys() >= set(ids):
                raise ScriptError(f"job {job.id} is not on this vendor")
            for each in ids:
                self._plays[each].steps, self._plays[each].at = tuple(steps), 0

    def start(self, token: str, output: MediaURI | None) -> str:
        """Take a job on, once for each token; its id."""
        with self._lock:
            known = next((each for each, play in self._plays.items() if play.token == token), None)
            native_id = known or f"play-{len(self._plays) + 1}"
            self._plays.setdefault(native_id, _Play(token, output))
        return native_id

    def find(self, token: str) -> list[str]:
        with self._lock:
            return [each for each, play in self._plays.items() if play.token == token]

    def look(self, native_id: str) -> Observation:
        """The job's next step."""
        with self._lock:
            play = self._plays.get(native_id)
            if play is None:
                return Observation(native_id=native_id, not_found=True)
            step = play.steps[min(play.at, len(play.steps) - 1)]
            if _word(step) == "preempted" and play.at < len(play.steps):
                play.starts += 1
            play.at += 1
        return self._observe(native_id, play, step)

    def _observe(self, native_id: str, play: _Play, step: Step) -> Observation:
        word, detail = _word(step), step[1] if isinstance(step, tuple) else None
        code = detail if isinstance(detail, ErrorCode) else ErrorCode.WORKER_CRASHED
        return Observation(
            native_id=native_id,
            state=_STATES[word],
            phase=word,
            vendor_attempt=play.starts,
            progress=float(detail) if isinstance(detail, int | float) else None,
            error=JobError.of(code, f"the script says {code}") if word == "failed" else None,
            result=self._leave(play.output) if word == "succeeded" and play.output is not None else None,
        )

    def _leave(self, output: MediaURI) -> JobResult:
        uri = MediaURI(f"{output}{_FILE}") if output.is_folder else output
        stat = self.objects.stat(uri) or self.objects.write(uri, iter([b"as the script says"]))
        return JobResult(outputs=(Output(uri=uri, size_bytes=stat.size_bytes),))

    def stop(self, native_id: str) -> bool:
        """Cancel a job; False when it has ended."""
        with self._lock:
            play = self._plays[native_id]
            reached = play.steps[min(max(play.at - 1, 0), len(play.steps) - 1)]
            if play.at and _STATES[_word(reached)].is_terminal:
                return False
            play.steps, play.at = ("cancelled",), 0
            return True


class ScriptedProvider(Provider):
    """Runs every kind on a `ScriptedVendor`."""

    type: ClassVar[str] = "scripted"

    def __init__(self, vendor: ScriptedVendor, name: str = "scripted") -> None:
        super().__init__(name, {})
        self._vendor = vendor

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=tuple(known_kinds()),
            input_schemes=frozenset({*_SCHEMES, "https"}),
            output_schemes=frozenset(_SCHEMES),
            poll_interval_s=0.01,
        )

    def connect(self, service: str) -> _Wire:  # noqa: ARG002  there is one
        return _Wire(self._vendor)

    def submit(self, spec: JobSpec[Any], options: ProviderOptions | None, ctx: SubmitContext) -> Flow[Submitted]:  # noqa: ARG002
        params = {"token": ctx.token, "kind": spec.kind, "output": str(ctx.output) if ctx.output else None}
        reply = yield from ask(Call[Reply]("script", "Start", params, "create", "play", stand_in={"id": "<play.id>"}))
        return Submitted(members=(Member(role="play", native_id=str(reply["id"]), output=ctx.output),))

    def query(self, members: Sequence[Member]) -> Flow[list[Observation]]:
        ids: list[JsonValue] = [each.native_id for each in members]
        reply: Any = yield from ask(Call[Reply]("script", "Look", {"ids": ids}))
        return [Observation.model_validate(each) for each in reply["seen"]]

    def cancel(self, members: Sequence[Member]) -> Flow[CancelOutcome]:
        ids: list[JsonValue] = [each.native_id for each in members]
        reply = yield from ask(Call[Reply]("script", "Stop", {"ids": ids}, "cancel"))
        return CancelOutcome.REQUESTED if reply["stopped"] else CancelOutcome.TOO_LATE

    def find(self, ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:  # noqa: ARG002  there is one step
        reply: Any = yield from ask(Call[Reply]("script", "Find", {"token": ctx.token}))
        return [{"id": each} for each in reply["ids"]]

    def classify(self, failure: ProviderError) -> JobError:
        return JobError.of(ErrorCode.PROVIDER_INTERNAL, str(failure), provider_code=failure.provider_code)


class _Wire:
    """The `Transport` to the vendor, which is in this process."""

    def __init__(self, vendor: ScriptedVendor) -> None:
        self._vendor = vendor

    def perform(self, call: Call[Any]) -> Reply:
        params: Mapping[str, Any] = call.params
        if call.operation == "Start":
            output = MediaURI(params["output"]) if params["output"] else None
            return {"id": self._vendor.start(params["token"], output)}
        if call.operation == "Look":
            return {"seen": [self._vendor.look(each).model_dump(mode="json") for each in params["ids"]]}
        if call.operation == "Stop":
            stopped = [self._vendor.stop(each) for each in params["ids"]]
            return {"stopped": any(stopped)}
        return {"ids": list[JsonValue](self._vendor.find(params["token"]))}

    def close(self) -> None:
        """Nothing is open."""


def _word(step: Step) -> str:
    return step if isinstance(step, str) else step[0]


def _check(step: Step) -> None:
    word, detail = _word(step), step[1] if isinstance(step, tuple) else None
    if word not in _STATES:
        raise ScriptError(f"{step!r} is no step; they are {', '.join(_STATES)}")
    if detail is None or (word == "failed" and isinstance(detail, ErrorCode)):
        return
    if word != "running" or not isinstance(detail, int | float) or not 0 <= detail <= 1:
        raise ScriptError(
            f"{step!r} is no step; beside running stands its progress from 0 to 1, as in ('running', 0.4), beside "
            "failed an ErrorCode, beside the others nothing"
        )
