"""A simulated job of any kind, and who does its work."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import uuid4

from mediabroker_alibaba.simulator.mps.answers import Json

__all__ = ["STATE_WORDS", "Executor", "Job", "Kind", "Outcome", "Place", "State", "Template", "stamp"]

Kind = Literal["production", "transcode", "snapshot", "media_info"]
State = Literal["waiting", "running", "succeeded", "failed", "cancelled"]

STATE_WORDS: Mapping[Kind, Mapping[State, str]] = {
    "production": {"waiting": "Queuing", "running": "Analysing", "succeeded": "Success", "failed": "Fail"},
    "transcode": {
        "waiting": "Submitted",
        "running": "Transcoding",
        "succeeded": "TranscodeSuccess",
        "failed": "TranscodeFail",
        "cancelled": "TranscodeCancelled",
    },
    "snapshot": {"waiting": "Submitted", "running": "Snapshoting", "succeeded": "Success", "failed": "Fail"},
    "media_info": {"waiting": "Analyzing", "running": "Analyzing", "succeeded": "Success", "failed": "Fail"},
}
"""What MPS calls the states, in its own spelling. Source: QueryIProductionJob, QueryJobList, QuerySnapshotJobList and
QueryMediaInfoJobList, `State`."""

Template = Mapping[str, Mapping[str, str]]
"""Settings of a transcode by part: `Container`, `Video`, `Audio`, `TransConfig`, `MuxConfig`."""


@dataclass(frozen=True)
class Place:
    """An object, or a pattern for objects. `key` is decoded."""

    bucket: str
    region: str
    key: str


@dataclass(frozen=True)
class Outcome:
    """How the work on a job ended: `code` is `Success` or an error's; `data` is what the function found out."""

    code: str = "Success"
    message: str = ""
    data: Json = None
    keys: tuple[str, ...] = ()
    """Of the objects written, in order."""

    @property
    def ok(self) -> bool:
        return self.code == "Success"


@dataclass
class Job:
    """One job; every kind fills what it has.

    Attributes:
        function: of smart production.
        request: what its kind shows again when it is asked, as it came.
        settings: of a transcode, template and request together.
        message: what became of the callback, as `MNSMessageResult` tells it.
    """

    kind: Kind
    account: str
    region: str
    pipeline_id: str
    created_at: datetime
    request: Mapping[str, str]
    function: str = ""
    user_data: str | None = None
    priority: int = 6
    input: Place | None = None
    output: Place | None = None
    settings: Template = field(default_factory=dict)
    config: Mapping[str, Json] = field(default_factory=dict)
    state: State = "waiting"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    message: Mapping[str, Json] | None = None
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def word(self) -> str:
        """Its state, as MPS calls it."""
        return STATE_WORDS[self.kind][self.state]

    @property
    def has_ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


class Executor(Protocol):
    """Does the work of jobs; the future's result ends the job, and its exception would be a defect."""

    def start(self, job: Job) -> Future[Outcome]: ...

    def close(self) -> None:
        """Stop what runs; nothing is left behind."""
        ...


def stamp(at: datetime | None) -> str | None:
    """A time as MPS writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
