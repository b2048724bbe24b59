"""The simulated MNS: HTTP requests in, answers out, every signature checked.

world = World()
mns = MnsService(world)
with LoopbackServer(mns.answer, clock=world.clock) as server: ...
"""

from __future__ import annotations

import secrets

from mediabroker_alibaba.mns.wire import build_document
from mediabroker_alibaba.simulator.faults import Fault, spoil
from mediabroker_alibaba.simulator.mns.auth import authenticate
from mediabroker_alibaba.simulator.mns.queue_operations import QUEUE_OPERATIONS
from mediabroker_alibaba.simulator.mns.queues import Chaos, SimulatedQueue
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.mns.requests import Said, parse_ask
from mediabroker_alibaba.simulator.mns.state import MnsState
from mediabroker_alibaba.simulator.mns.topic_operations import TOPIC_OPERATIONS
from mediabroker_alibaba.simulator.seams import PostRefusedError
from mediabroker_alibaba.simulator.server import Request, Response
from mediabroker_alibaba.simulator.world import World

__all__ = ["MnsService"]

_OPERATIONS = {**QUEUE_OPERATIONS, **TOPIC_OPERATIONS}
_BEFORE = {"throttled": "QpsLimitExceeded", "denied": "SignatureDoesNotMatch", "error_before": "InternalError"}


class MnsService:
    """Queues and topics of one region; fits `seams.Queues`. Thread-safe.

    Faults on the wire come from `world.faults` (`mns.ReceiveMessage` and the like), those of queues from `chaos`.

    Args:
        seed: of the queues' misbehaviour, which is repeatable.
    """

    def __init__(self, world: World, region: str = "cn-shanghai", *, seed: int = 0) -> None:
        self._world = world
        self._state = MnsState(world, region, seed)

    def answer(self, request: Request) -> Response | None:
        """Perform one request; None: the connection breaks."""
        request_id = secrets.token_hex(12).upper()
        try:
            account = authenticate(self._world, request)
            ask = parse_ask(request)
            params = {"names": ask.names, **ask.query}
            fault = self._world.faults.take(f"mns.{ask.operation}", params)
            if fault is not None and fault.kind == "dropped":
                return None
            _refuse(fault)
            said = _OPERATIONS[ask.operation](self._state, self._state.tenant(account.id), ask)
        except MnsRefusedError as refused:
            return _response(Said(refused.status, _error(refused, request, request_id)), request_id)
        return spoil(_response(said, request_id), fault, self._world.stopping)

    def create_queue(self, account: str, name: str, **attributes: int) -> SimulatedQueue:
        """Make a queue from inside, or find it; `attributes` by the service's names.

        Raises:
            MnsRefusedError: it exists with other attributes.
        """
        self._state.create_queue(account, name, attributes)
        return self.queue(account, name)

    def queue(self, account: str, name: str) -> SimulatedQueue:
        """An account's queue, to look into or to spoil.

        Raises:
            MnsRefusedError: there is none.
        """
        return self._state.tenant(account).queue(name)

    def misbehave(self, chaos: Chaos) -> None:
        """Let the queues that are made from now on be as bad as that."""
        self._state.chaos = chaos

    def post(self, account: str, region: str, queue: str, body: str) -> str:
        """See `seams.Queues.post`."""
        try:
            return self._state.post(account, region, queue, body)
        except MnsRefusedError as refused:
            raise PostRefusedError(refused.code, refused.message) from None

    def publish(self, account: str, region: str, topic: str, body: str) -> str:
        """Publish to a topic; the message's id.

        Raises:
            PostRefusedError: no such topic.
        """
        try:
            return self._state.publish(account, region, topic, body)
        except MnsRefusedError as refused:
            raise PostRefusedError(refused.code, refused.message) from None


def _refuse(fault: Fault | None) -> None:
    if fault is not None and fault.kind in _BEFORE:
        raise MnsRefusedError(_BEFORE[fault.kind])


def _error(refused: MnsRefusedError, request: Request, request_id: str) -> bytes:
    host = f"http://{request.header('host', 'localhost')}"
    fields = {"Code": refused.code, "Message": refused.message, "RequestId": request_id, "HostId": host}
    return build_document("Error", fields)


def _response(said: Said, request_id: str) -> Response:
    headers = [("x-mns-request-id", request_id), ("x-mns-version", "2015-06-06")]
    if said.location:
        headers.append(("Location", said.location))
    if said.document:
        headers.append(("Content-Type", "text/xml;charset=utf-8"))
    return Response(said.status, tuple(headers), said.document)
