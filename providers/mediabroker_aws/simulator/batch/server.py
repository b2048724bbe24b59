"""The simulator's HTTP front on loopback."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self

from mediabroker_aws.simulator.batch.account import BatchSimulator
from mediabroker_aws.simulator.batch.wire import WireError, parse_request, shape_answer
from mediabroker_aws.simulator.faults import FaultKind
from mediabroker_aws.simulator.signing import verify_signature

__all__ = ["BatchServer"]

_BODY_LIMIT_BYTES = 1 << 20
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class BatchServer:
    """Serves one simulator at `url`.

    Args:
        secrets: who may sign requests, access key to secret; None accepts every signature unseen.
        pump_s: let the jobs move by themselves every so many seconds; None leaves that to `BatchSimulator.advance`.
    """

    def __init__(
        self, simulator: BatchSimulator, *, secrets: Mapping[str, str] | None = None, pump_s: float | None = None
    ) -> None:
        self.simulator = simulator
        self._secrets = secrets
        self._stop = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)]
        if pump_s is not None:
            self._threads.append(threading.Thread(target=self._pump, args=(pump_s,), daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, and stop what still runs."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self.simulator.close()

    def _pump(self, pump_s: float) -> None:
        while not self._stop.wait(pump_s):
            self.simulator.advance()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body would otherwise lie 40 ms apart

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(min(length, _BODY_LIMIT_BYTES))
                try:
                    server.answer(self, body)
                except WireError as error:
                    send(self, error.status, {"message": error.message}, code=error.code)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815  the base class names them

            def log_message(self, *_: Any) -> None:
                return None

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Perform one request and send its answer, spoilt if a fault says so.

        Raises:
            WireError: it is refused.
        """
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if self._secrets is not None:
            url = f"{self.url}{handler.path}"
            verify_signature(handler.command, url, headers, body, secrets=self._secrets, region=self.simulator.region)
        request = parse_request(handler.command, handler.path, body)
        fault = self.simulator.faults.take(request.operation, request.params)
        if fault == "throttled":
            raise WireError(429, "TooManyRequestsException", "Too Many Requests")
        if fault == "error_before":
            raise WireError(500, "ServerException", "Internal error")
        answer = shape_answer(request.operation, self.simulator.call(request.operation, request.params))
        if fault == "error_after":
            raise WireError(500, "ServerException", "Internal error")
        _spoil(handler, fault, answer) if fault else send(handler, 200, answer)


def send(handler: BaseHTTPRequestHandler, status: int, answer: Mapping[str, Any], *, code: str = "") -> None:
    """A JSON answer; `code` names the error."""
    _send_bytes(handler, status, json.dumps(answer).encode(), code=code)


def _send_bytes(handler: BaseHTTPRequestHandler, status: int, body: bytes, *, code: str = "") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("x-amzn-RequestId", str(uuid.uuid4()))
    if code:
        handler.send_header("x-amzn-ErrorType", code)
    handler.end_headers()
    handler.wfile.write(body)


def _spoil(handler: BaseHTTPRequestHandler, fault: FaultKind, answer: Mapping[str, Any]) -> None:
    body = json.dumps(answer).encode()
    if fault == "lost":
        handler.close_connection = True
    elif fault == "truncated":
        _send_bytes(handler, 200, body[: len(body) // 2])
    else:
        _send_bytes(handler, 200, _HTML if fault == "html" else b"")
