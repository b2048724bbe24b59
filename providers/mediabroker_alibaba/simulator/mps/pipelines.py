"""Pipelines: queues of jobs that belong to one account in one region.

Source: ApsaraVideo Media Processing, AddPipeline, UpdatePipeline, DeletePipeline, SearchPipeline, QueryPipelineList.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.checks import Call, check_id, integer, json_object, listed_ids, required
from mediabroker_alibaba.simulator.mps.jobs import stamp
from mediabroker_alibaba.simulator.mps.refusals import invalid

if TYPE_CHECKING:
    from mediabroker_alibaba.simulator.mps.state import Shelf

__all__ = ["Pipeline", "add", "delete", "find_pipeline", "query", "search", "update"]

_NAME_LIMIT_BYTES = 128
_STATES = ("Active", "Paused")


@dataclass
class Pipeline:
    """One pipeline. `concurrency` is how many of its jobs run at once; the default pipeline's is documented as 10."""

    name: str
    created_at: datetime
    speed: str = "Standard"
    speed_level: int = 1
    role: str = "AliyunMTSDefaultRole"
    notify: Mapping[str, Json] = field(default_factory=dict)
    state: str = "Active"
    concurrency: int = 10
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def describe(self) -> dict[str, Json]:
        return {
            "Id": self.id,
            "Name": self.name,
            "State": self.state,
            "Speed": self.speed,
            "SpeedLevel": self.speed_level,
            "QuotaAllocate": self.concurrency,
            "Role": self.role,
            "NotifyConfig": dict(self.notify),
        }


def find_pipeline(shelf: Shelf, pipeline_id: str | None, name: str = "PipelineId") -> Pipeline:
    """The account's pipeline; without an id its default one. Those of other accounts and regions are not found.

    Raises:
        RpcError: no id, or nobody's.
    """
    if not pipeline_id:
        return shelf.default_pipeline
    pipeline = shelf.pipelines.get(check_id(name, pipeline_id))
    if pipeline is None or pipeline.state == "Deleted":
        raise invalid(name, "ResourceNotFound")
    return pipeline


def add(shelf: Shelf, call: Call) -> dict[str, Json]:
    pipeline = Pipeline(
        _name(call),
        call.at,
        speed=call.params.get("Speed", "Standard"),
        speed_level=integer(call, "SpeedLevel", 1, 1, 10),
        role=call.params.get("Role", "AliyunMTSDefaultRole"),
        notify=_notify(call),
    )
    shelf.pipelines[pipeline.id] = pipeline
    return {"Pipeline": pipeline.describe()}


def update(shelf: Shelf, call: Call) -> dict[str, Json]:
    pipeline = find_pipeline(shelf, required(call, "PipelineId"))
    name, state = _name(call), required(call, "State")
    if state not in _STATES:
        raise invalid("State")
    pipeline.name, pipeline.state = name, state
    pipeline.role = call.params.get("Role", pipeline.role)
    if "NotifyConfig" in call.params:
        pipeline.notify = _notify(call)
    return {"Pipeline": pipeline.describe()}


def delete(shelf: Shelf, call: Call) -> dict[str, Json]:
    pipeline = find_pipeline(shelf, required(call, "PipelineId"))
    if pipeline is shelf.default_pipeline:
        raise invalid("PipelineId", "InvalidState")
    pipeline.state = "Deleted"
    return {"PipelineId": pipeline.id}


def search(shelf: Shelf, call: Call) -> dict[str, Json]:
    state = call.params.get("State", "All")
    if state not in ("All", *_STATES, "Deleted"):
        raise invalid("State")
    number, size = integer(call, "PageNumber", 1, 1, 1 << 31), integer(call, "PageSize", 10, 1, 100)
    wanted = _STATES if state == "All" else (state,)
    found = [each for each in shelf.pipelines.values() if each.state in wanted]
    page = found[(number - 1) * size : number * size]
    listed: list[Json] = [{**each.describe(), "CreationTime": stamp(each.created_at)} for each in page]
    return {
        "TotalCount": len(found),
        "PageNumber": number,
        "PageSize": size,
        "PipelineList": {"Pipeline": listed},
    }


def query(shelf: Shelf, call: Call) -> dict[str, Json]:
    ids = listed_ids(call, "PipelineIds")
    there = {each.id: each for each in shelf.pipelines.values() if each.state != "Deleted"}
    found: list[Json] = [there[each].describe() for each in ids if each in there]
    absent: list[Json] = [each for each in ids if each not in there]
    return {"PipelineList": {"Pipeline": found}, "NonExistPids": {"String": absent} if absent else None}


def _name(call: Call) -> str:
    name = required(call, "Name")
    if len(name.encode()) > _NAME_LIMIT_BYTES:
        raise invalid("Name", "OutOfRange")
    return name


def _notify(call: Call) -> Mapping[str, Json]:
    if "NotifyConfig" not in call.params:
        return {}
    notify = json_object("NotifyConfig", call.params["NotifyConfig"])
    # It names a queue or topic of the same account and region; addresses are a common mistake.
    if not all(isinstance(each, str) and "/" not in each for each in notify.values()):
        raise invalid("NotifyConfig")
    return json.loads(json.dumps(notify))  # type: ignore[no-any-return]  # a copy that nobody else holds
