"""All of the simulated Alibaba Cloud: MPS, MNS and OSS in some regions, for any number of accounts.

with AlibabaSimulator() as cloud:
    account = cloud.add_account()
    cloud.create_bucket(account, "media")
    client = AcsClient(account.key.access_key_id, account.key.access_key_secret, cloud.region)
    request.set_endpoint(cloud.endpoints().mps)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Self

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.mns import MnsService, SimulatedQueue
from mediabroker_alibaba.simulator.mps import Executor, MpsService
from mediabroker_alibaba.simulator.mps.work.executor import MediaExecutor
from mediabroker_alibaba.simulator.oss import OssService, OssState
from mediabroker_alibaba.simulator.seams import PostRefusedError
from mediabroker_alibaba.simulator.server import Answer, LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World

__all__ = ["AlibabaSimulator", "Endpoints"]


@dataclass(frozen=True)
class Endpoints:
    """Of one region, as URLs without a path."""

    mps: str
    mns: str
    oss: str


class AlibabaSimulator:
    """Serves from the moment it is made until it is closed.

    Jobs move when `advance` or `settle` is called; with `pump_s` by themselves.

    Args:
        folder: keeps the objects' bytes; None: a temporary one.
        regions: each has endpoints of its own; the first is the one that is meant where none is named.
        executor: who does the work of jobs; None: `MediaExecutor`, for real.
        pump_s: let the jobs move by themselves, at the latest every so many seconds.

    Attributes:
        world: clock, tenants, faults, and the ledger of accepted jobs.
        mps: the media service; `mps.limits.enforced` makes it count calls, `mps.engine` has the pace of jobs.
        mns: the message services by region.
        oss: what the object stores hold.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        regions: Sequence[str] = ("cn-shanghai",),
        clock: SimulatedClock | None = None,
        executor: Callable[[OssState], Executor] = MediaExecutor,
        pump_s: float | None = None,
    ) -> None:
        if not regions:
            raise ValueError("regions: name at least one")
        self.region = regions[0]
        self.world = World(clock or SimulatedClock())
        with ExitStack() as stack:
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulated-oss-")))
            self.folder = folder
            self.oss = OssState(self.world, folder)
            self.mns = {region: MnsService(self.world, region) for region in regions}
            self.mps = MpsService(self.world, executor(self.oss), _EveryRegion(self.mns), self.oss)
            self._endpoints = {region: self._serve(stack, region) for region in regions}
            stack.callback(self.mps.engine.close)  # before the servers: some requests wait for the work on their job
            stack.callback(self.world.stopping.set)
            if pump_s is not None:
                self.mps.engine.pump(pump_s)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and what still runs; nothing is left but a folder that was given."""
        self._stack.close()

    def endpoints(self, region: str | None = None) -> Endpoints:
        """Where to send requests for a region."""
        return self._endpoints[region or self.region]

    def add_account(self, account_id: str | None = None, **keys: str) -> Account:
        """A new tenant; see `Tenants.add_account`. More keys and temporary ones: `world.tenants`."""
        return self.world.tenants.add_account(account_id, **keys)

    def create_bucket(self, account: Account, name: str, region: str | None = None) -> str:
        """Make a bucket; its URL up to the key, in the form that MPS takes."""
        region = region or self.region
        self.oss.create_bucket(account.id, name, region)
        return f"oss://{name}.oss-{region}.aliyuncs.com/"

    def create_queue(self, account: Account, name: str, region: str | None = None, **attributes: int) -> SimulatedQueue:
        """Make a queue; `attributes` by the service's names, as `VisibilityTimeout`."""
        return self.mns[region or self.region].create_queue(account.id, name, **attributes)

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, and each job take a step."""
        self.world.clock.advance(seconds)
        self.mps.engine.step()

    def settle(self, timeout_s: float = 60.0) -> None:
        """Let every job come to its end; see `Engine.settle`."""
        self.mps.engine.settle(timeout_s)

    def _serve(self, stack: ExitStack, region: str) -> Endpoints:
        def serve(answer: Answer) -> str:
            return stack.enter_context(LoopbackServer(answer, clock=self.world.clock)).url

        oss = OssService(self.oss, region)
        return Endpoints(serve(self.mps.answer(region)), serve(self.mns[region].answer), serve(oss.answer))


class _EveryRegion:
    """The message services of all regions; fits `seams.Queues`."""

    def __init__(self, services: dict[str, MnsService]) -> None:
        self._services = services

    def post(self, account: str, region: str, queue: str, body: str) -> str:
        if region not in self._services:
            raise PostRefusedError("QueueNotExist", f"Nothing is simulated in {region}.")
        return self._services[region].post(account, region, queue, body)

    def publish(self, account: str, region: str, topic: str, body: str) -> str:
        if region not in self._services:
            raise PostRefusedError("TopicNotExist", f"Nothing is simulated in {region}.")
        return self._services[region].publish(account, region, topic, body)
