"""The vendor's own SDK aimed at the simulator: requests by action and parameters, answers as dictionaries."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from typing import Any

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient

from mediabroker_alibaba.simulator.mps import Executor, MpsService, ScriptedExecutor
from mediabroker_alibaba.simulator.seams import InMemoryQueues, Objects
from mediabroker_alibaba.simulator.server import LoopbackServer
from mediabroker_alibaba.simulator.tenants import Account, KeyPair
from mediabroker_alibaba.simulator.world import World

REGION, ACCOUNT = "cn-shanghai", "1234567890123456"
CLIP = f"oss://media.oss-{REGION}.aliyuncs.com/in/a.mp4"
INPUT = json.dumps({"Bucket": "media", "Location": f"oss-{REGION}", "Object": "in%2Fa.mp4"})


class MpsClient:
    """`AcsClient` for one key pair at one endpoint; nothing of the machine's environment takes part."""

    def __init__(self, netloc: str, pair: KeyPair, *, region: str = REGION, secret: str | None = None) -> None:
        secret = secret or pair.access_key_secret
        if pair.token is None:
            self.sdk = AcsClient(pair.access_key_id, secret, region)
        else:
            credential = StsTokenCredential(pair.access_key_id, secret, pair.token)
            self.sdk = AcsClient(region_id=region, credential=credential)
        self.netloc = netloc

    def request(self, action: str, **params: Any) -> Any:
        """The SDK's request object; parameters by the wire's names."""
        module = importlib.import_module(f"aliyunsdkmts.request.v20140618.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint(self.netloc)
        for name, value in params.items():
            getattr(request, f"set_{name}")(value if isinstance(value, str | int) else json.dumps(value))
        return request

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """Perform an action; raises what the SDK raises."""
        answer: dict[str, Any] = json.loads(self.send(self.request(action, **params)))
        return answer

    def send(self, request: Any) -> Any:
        """The body of the answer; no connection stays open, for nobody closes an `AcsClient`."""
        try:
            return self.sdk.do_action_with_exception(request)
        finally:
            self.sdk.session.close()


@dataclass
class Place:
    """A simulated MPS with an account, a queue and a client."""

    world: World = field(default_factory=World)
    executor: Executor = field(default_factory=ScriptedExecutor)
    objects: Objects | None = None
    queues: InMemoryQueues = field(default_factory=InMemoryQueues)

    def __post_init__(self) -> None:
        self.service = MpsService(self.world, self.executor, self.queues, self.objects)
        self.server = LoopbackServer(self.service.answer(REGION), clock=self.world.clock)
        self.account = self.world.tenants.add_account(ACCOUNT)
        self.client = self.client_of(self.account)
        self.queues.create(self.account.id, REGION, "done")

    @property
    def engine(self) -> Any:
        return self.service.engine

    def client_of(self, account: Account, **more: Any) -> MpsClient:
        return MpsClient(self.server.netloc, account.key, **more)

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        return self.client.call(action, **params)

    def messages(self, queue: str = "done") -> list[str]:
        return self.queues.posted[self.account.id, REGION, queue]

    def close(self) -> None:
        self.world.stopping.set()
        self.service.engine.close()
        self.server.close()
