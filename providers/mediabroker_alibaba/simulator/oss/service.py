"""The simulated OSS: HTTP requests in, answers out, every signature checked.

world = World()
oss = OssService(OssState(world, folder))
with LoopbackServer(oss.answer, clock=world.clock) as server: ...
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from mediabroker_alibaba.simulator.faults import Fault, spoil
from mediabroker_alibaba.simulator.oss.access import bucket_for
from mediabroker_alibaba.simulator.oss.auth import authenticate
from mediabroker_alibaba.simulator.oss.bucket_operations import BUCKET_OPERATIONS, create_bucket, list_buckets
from mediabroker_alibaba.simulator.oss.listing import LISTING_OPERATIONS
from mediabroker_alibaba.simulator.oss.multipart_operations import MULTIPART_OPERATIONS, copy_part
from mediabroker_alibaba.simulator.oss.object_operations import OBJECT_OPERATIONS, copy, copy_source
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError, refusal_response
from mediabroker_alibaba.simulator.oss.requests import Ask, parse_ask
from mediabroker_alibaba.simulator.oss.state import OssState
from mediabroker_alibaba.simulator.server import Request, Response
from mediabroker_alibaba.simulator.tenants import Account

__all__ = ["OssService"]

_OPERATIONS = {**BUCKET_OPERATIONS, **LISTING_OPERATIONS, **MULTIPART_OPERATIONS, **OBJECT_OPERATIONS}
_BEFORE = {"throttled": "TooManyRequests", "denied": "SignatureDoesNotMatch", "error_before": "InternalError"}


class OssService:
    """The endpoint of one region. Faults come from the world's, by `oss.PutObject` and the like. Thread-safe."""

    def __init__(self, state: OssState, region: str = "cn-shanghai") -> None:
        self.state, self.region = state, region

    def answer(self, request: Request) -> Response | None:
        """Perform one request; None: the connection breaks."""
        request_id = secrets.token_hex(12).upper()
        world = self.state.world
        try:
            ask = parse_ask(request)
            account = authenticate(world, ask, self.region)
            fault = world.faults.take(f"oss.{ask.operation}", {"bucket": ask.bucket, "key": ask.key, **ask.query})
            if fault is not None and fault.kind == "dropped":
                return None
            _refuse(fault)
            answered = self._perform(ask, account)
        except OssRefusedError as refused:
            return refusal_response(refused, request.method, request_id, request.header("host"))
        headers = (*answered.headers, ("x-oss-request-id", request_id))
        told = spoil(replace(answered, headers=headers), fault, world.stopping)
        if not isinstance(answered.body, bytes) and (told is None or told.body is not answered.body):
            answered.body.close()
        return told

    def _perform(self, ask: Ask, account: Account | None) -> Response:
        if ask.operation in ("ListBuckets", "PutBucket"):
            if account is None:
                raise OssRefusedError("AccessDenied", "Anonymous access is forbidden for this operation.")
            if ask.operation == "ListBuckets":
                return list_buckets(self.state, account, ask)
            return create_bucket(self.state, account, ask, self.region)
        bucket = bucket_for(self.state, account, ask, self.region)
        if ask.operation in ("CopyObject", "UploadPartCopy"):
            source = copy_source(self.state, account, ask, self.region)
            return {"CopyObject": copy, "UploadPartCopy": copy_part}[ask.operation](self.state, bucket, ask, source)
        return _OPERATIONS[ask.operation](self.state, bucket, ask)


def _refuse(fault: Fault | None) -> None:
    if fault is not None and fault.kind in _BEFORE:
        raise OssRefusedError(_BEFORE[fault.kind])
