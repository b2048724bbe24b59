"""MPS on loopback: gateway, actions and answers of one region's endpoint."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from mediabroker_alibaba.simulator.faults import Fault, spoil
from mediabroker_alibaba.simulator.mps import looks, pipelines, production, transcodes
from mediabroker_alibaba.simulator.mps.answers import Json, build_answer, build_refusal
from mediabroker_alibaba.simulator.mps.checks import Call
from mediabroker_alibaba.simulator.mps.jobs import Executor, Template
from mediabroker_alibaba.simulator.mps.limits import RateLimits, throttling
from mediabroker_alibaba.simulator.mps.progression import Engine
from mediabroker_alibaba.simulator.mps.refusals import RpcError, invalid, missing
from mediabroker_alibaba.simulator.mps.rpc import build_string_to_sign, mismatch, read_params, verify
from mediabroker_alibaba.simulator.mps.settings import check_settings
from mediabroker_alibaba.simulator.mps.state import Shelf, State
from mediabroker_alibaba.simulator.seams import Objects, Queues
from mediabroker_alibaba.simulator.server import Answer, Request, Response
from mediabroker_alibaba.simulator.world import World

__all__ = ["MpsService"]

_VERSION = "2014-06-18"

_Action: TypeAlias = Callable[[Shelf, Call], dict[str, Json]]


class MpsService:
    """The service in every region; `answer(region)` is what one endpoint serves.

    Attributes:
        limits: the account's calls per second.
        engine: moves the jobs.
        state: what there is.
    """

    def __init__(self, world: World, executor: Executor, queues: Queues, objects: Objects | None = None) -> None:
        self.state = State()
        self.limits = RateLimits(world.clock)
        self.engine = Engine(world, self.state, executor, queues)
        self._world, self._objects = world, objects
        with_engine = functools.partial(functools.partial, engine=self.engine)
        self._actions: Mapping[str, _Action] = {
            "SubmitIProductionJob": with_engine(production.submit),
            "QueryIProductionJob": production.query,
            "SubmitJobs": with_engine(transcodes.submit),
            "QueryJobList": transcodes.query,
            "ListJob": transcodes.list_jobs,
            "CancelJob": with_engine(transcodes.cancel),
            "SubmitSnapshotJob": with_engine(looks.submit_snapshot),
            "QuerySnapshotJobList": looks.query_snapshots,
            "SubmitMediaInfoJob": with_engine(looks.submit_media_info),
            "QueryMediaInfoJobList": looks.query_media_info,
            "AddPipeline": pipelines.add,
            "UpdatePipeline": pipelines.update,
            "DeletePipeline": pipelines.delete,
            "SearchPipeline": pipelines.search,
            "QueryPipelineList": pipelines.query,
        }

    def answer(self, region: str) -> Answer:
        """The endpoint of a region."""
        return functools.partial(self._answer, region)

    def add_pipeline(self, account: str, region: str, name: str, *, queue: str | None = None) -> str:
        """A pipeline, as AddPipeline makes it; its id. `queue` gets the messages of its jobs."""
        at = self._world.clock.now()
        pipeline = pipelines.Pipeline(name, at, notify={"QueueName": queue} if queue else {})
        with self.state.lock:
            self.state.shelf(account, region, at).pipelines[pipeline.id] = pipeline
        return pipeline.id

    def add_template(self, account: str, region: str, settings: Template) -> str:
        """A transcode template of the account's own; its id. AddTemplate itself is not simulated.

        Raises:
            RpcError: the settings are wrong, or not simulated.
        """
        check_settings(settings)
        template_id = uuid.uuid4().hex
        with self.state.lock:
            self.state.shelf(account, region, self._world.clock.now()).templates[template_id] = settings
        return template_id

    def _answer(self, region: str, request: Request) -> Response | None:
        request_id = str(uuid.uuid4()).upper()
        params = read_params(request)
        form = params.get("Format", "XML")
        fault: Fault | None = None
        try:
            call = self._accepted(region, request, params, request_id)
            fault = self._world.faults.take(f"mps.{call.action}", call.params)
            if fault is not None:
                if fault.kind == "dropped":
                    return None
                _refuse(fault, request, params)
            content = self._perform(call)
        except RpcError as error:
            return build_refusal(form, request_id, f"mts.{region}.aliyuncs.com", error)
        return spoil(build_answer(form, call.action, request_id, content), fault, self._world.stopping)

    def _accepted(self, region: str, request: Request, params: Mapping[str, str], request_id: str) -> Call:
        """The gateway: what is asked, by whom, and not too often."""
        action = params.get("Action")
        if not action:
            raise missing("Action")
        if "Version" not in params:
            raise missing("Version")
        if params["Version"] != _VERSION:
            raise RpcError(400, "InvalidVersion", "Specified parameter Version is not valid.")
        if action not in self._actions:
            raise RpcError(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        account = verify(request.method, params, self._world)
        if params.get("RegionId", region) != region:
            raise invalid(params["RegionId"], "ServiceNotSupportRegion")
        self.limits.count(account.id, action)
        region_of = functools.partial(self._objects.region_of, account.id) if self._objects else None
        return Call(action, params, account.id, region, request_id, self._world.clock.now(), region_of)

    def _perform(self, call: Call) -> dict[str, Json]:
        shelf = self.state.shelf(call.account, call.region, call.at)
        if call.action in ("SubmitSnapshotJob", "SubmitMediaInfoJob"):
            return self._actions[call.action](shelf, call)  # may wait for the work, which needs the lock
        with self.state.lock:
            return self._actions[call.action](shelf, call)


def _refuse(fault: Fault, request: Request, params: Mapping[str, str]) -> None:
    if fault.kind == "throttled":
        raise throttling()
    if fault.kind == "denied":
        raise mismatch(build_string_to_sign(request.method, {**params, "Timestamp": "2000-01-01T00:00:00Z"}))
    if fault.kind == "error_before":
        raise RpcError(500, "InternalError", "The request processing has failed due to some unknown error.")
