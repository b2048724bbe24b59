"""Lambda and API Gateway on loopback: the real boto3 and plain HTTP talk to it, and the real handlers run behind it.

    with LambdaFront(LambdaSimulator(), api_keys={"key"}) as front:
        front.simulator.add(Function("transcode", "mediabroker_aws.functions.transcode.api.handler", environment={...}))
        front.add_route("POST", "/prod/videoTranscode", "transcode")
        boto3.client("lambda", endpoint_url=front.url).invoke(FunctionName="transcode", Payload=b"{}")
        httpx.post(f"{front.url}/prod/videoTranscode", headers={"x-api-key": "key"}, json={...})

Source: AWS Lambda API Reference, "Invoke"; Amazon API Gateway Developer Guide, "Quotas for REST APIs".
"""

from __future__ import annotations

import hmac
import json
import re
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import TimeoutError as NotYetError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from typing_extensions import Self

from mediabroker_aws.simulator.batch.wire import WireError
from mediabroker_aws.simulator.faults import FaultKind
from mediabroker_aws.simulator.functions.gateway import (
    Answer,
    Authorization,
    Request,
    Route,
    build_event,
    match_route,
    parse_answer,
)
from mediabroker_aws.simulator.functions.invocations import LambdaSimulator
from mediabroker_aws.simulator.signing import verify_signature

__all__ = ["LambdaFront"]

_INVOKE = re.compile(r"/2015-03-31/functions/(?P<name>[^/?]+)/invocations(\?.*)?")
_BODY_LIMIT_BYTES = 10 << 20
"""Source: Amazon API Gateway Developer Guide, "Quotas for REST APIs": payload size, 10 MB."""
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class LambdaFront:
    """Serves the functions of one simulator at `url`: by Lambda's Invoke, and by routes of a REST API.

    `simulator.faults` spoil answers under the names `Invoke` and `METHOD /stage/path`.

    Args:
        secrets: who may sign requests, access key to secret; None accepts every signature unseen.
        api_keys: what `x-api-key` may be on routes that want one.
        integration_timeout_s: how long the gateway waits for a function before it answers 504.
    """

    def __init__(
        self,
        simulator: LambdaSimulator,
        *,
        secrets: Mapping[str, str] | None = None,
        api_keys: Collection[str] = (),
        integration_timeout_s: float = 29.0,
    ) -> None:
        self.simulator = simulator
        self._secrets, self._api_keys = secrets, tuple(api_keys)
        self._integration_timeout_s = integration_timeout_s
        self._routes: list[Route] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_route(self, method: str, path: str, function: str, *, authorization: Authorization = "key") -> str:
        """Send requests of `method` (or `ANY`) to `/stage/path` to a function; the URL."""
        stage, _, resource = path.removeprefix("/").partition("/")
        self._routes.append(Route(method, stage, f"/{resource}", function, authorization))
        return f"{self.url}{path}"

    def close(self) -> None:
        """Stop serving, and what still runs in processes."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.simulator.close()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Perform one request and send its answer, spoilt if a fault says so.

        Raises:
            WireError: it is refused.
        """
        if len(body) > _BODY_LIMIT_BYTES:
            raise WireError(413, "RequestTooLargeException", "Request Too Long")
        path = handler.path.partition("?")[0]
        if invoked := _INVOKE.fullmatch(handler.path):
            self._authenticate(handler, body, "lambda")
            name = unquote(invoked["name"])
            fault = self._refuse_on_demand("Invoke", {"FunctionName": name, "body": body})
            answer = self._invoke(name, handler.headers.get("X-Amz-Invocation-Type", "RequestResponse"), body)
        else:
            fault = self._refuse_on_demand(f"{handler.command} {path}", {"body": body})
            answer = self._route(handler, path, body)
        if fault == "error_after":
            raise WireError(500, "ServiceException", "Internal error")
        _spoil(handler, fault, answer) if fault else send(handler, answer)

    def _authenticate(self, handler: BaseHTTPRequestHandler, body: bytes, service: str) -> None:
        if self._secrets is not None:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            region, url = self.simulator.region, f"{self.url}{handler.path}"
            verify_signature(handler.command, url, headers, body, secrets=self._secrets, region=region, service=service)

    def _refuse_on_demand(self, operation: str, params: Mapping[str, Any]) -> FaultKind | None:
        fault = self.simulator.faults.take(operation, params)
        if fault == "throttled":
            raise WireError(429, "TooManyRequestsException", "Rate Exceeded.")
        if fault == "error_before":
            raise WireError(500, "ServiceException", "Internal error")
        return fault

    def _invoke(self, name: str, kind: str, payload: bytes) -> Answer:
        function = self.simulator.find(name)
        try:
            json.loads(payload or b"null")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            raise WireError(400, "InvalidRequestContentException", message) from error
        if kind == "DryRun":
            return Answer(204, (), b"")
        if kind == "Event":
            return Answer(202, [("x-amzn-RequestId", self.simulator.accept(function, payload))], b"")
        if kind != "RequestResponse":
            raise WireError(400, "InvalidParameterValueException", f"InvocationType {kind!r} is not known")
        outcome = self.simulator.start(function, payload).result()
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        if outcome.function_error:
            headers.append(("X-Amz-Function-Error", outcome.function_error))
        return Answer(200, headers, outcome.payload)

    def _route(self, handler: BaseHTTPRequestHandler, path: str, body: bytes) -> Answer:
        route, parameters = match_route(self._routes, handler.command, path)
        if route.authorization == "iam":
            self._authenticate(handler, body, "execute-api")
        elif route.authorization == "key" and not self._is_key(handler.headers.get("x-api-key", "")):
            raise WireError(403, "ForbiddenException", "Forbidden")
        request = Request(handler.command, handler.path, handler.headers.items(), body)
        event = build_event(route, request, parameters, request_id=str(uuid.uuid4()), account=self.simulator.account)
        return self._integrate(route.function, event)

    def _integrate(self, name: str, event: Mapping[str, Any]) -> Answer:
        try:
            outcome = self.simulator.start(self.simulator.find(name), json.dumps(event).encode())
            finished = outcome.result(self._integration_timeout_s)
        except NotYetError:
            raise WireError(504, "InternalServerErrorException", "Endpoint request timed out") from None
        except WireError as error:
            status = 500 if error.status != 413 else 413
            raise WireError(status, "InternalServerErrorException", "Internal server error") from error
        if finished.function_error:
            raise WireError(502, "InternalServerErrorException", "Internal server error")
        return parse_answer(finished.payload)

    def _is_key(self, given: str) -> bool:
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in self._api_keys)


def _handler(front: LambdaFront) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body would otherwise lie 40 ms apart

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(min(length, _BODY_LIMIT_BYTES + 1))
            try:
                front.answer(self, body)
            except WireError as error:
                self.close_connection = length > len(body)  # what is left of the request is no new one
                send(self, _refusal(error))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815  see the base

        def log_message(self, *_: Any) -> None:
            return None

    return Handler


def _refusal(error: WireError) -> Answer:
    body = {"message": error.message, **({"Type": "User"} if error.status == 404 else {})}
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)]
    return Answer(error.status, headers, json.dumps(body).encode())


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    """An answer as it is."""
    handler.send_response(answer.status)
    sent = {name.lower() for name, _ in answer.headers}
    for name, value in answer.headers:
        handler.send_header(name, value)
    if "x-amzn-requestid" not in sent:
        handler.send_header("x-amzn-RequestId", str(uuid.uuid4()))
    if "content-type" not in sent:
        handler.send_header("Content-Type", "application/json")
    if answer.status != 204:
        handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(answer.body)


def _spoil(handler: BaseHTTPRequestHandler, fault: FaultKind, answer: Answer) -> None:
    if fault == "lost":
        handler.close_connection = True
        return
    bodies: Mapping[str, bytes] = {"truncated": answer.body[: len(answer.body) // 2], "html": _HTML}
    headers: Sequence[tuple[str, str]] = [each for each in answer.headers if each[0].lower() != "content-length"]
    send(handler, Answer(200, headers, bodies.get(fault, b"")))
