"""AWS on loopback: moto's server in a process of its own, spoken to over HTTP; and one that answers as scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import boto3
import pytest

from mediabroker_aws.simulator.moto import MotoServer

REGION = "eu-west-1"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with MotoServer() as server:
        yield server.url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDCANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-canary")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


Aws = Callable[[str], Any]


@pytest.fixture
def aws(endpoint: str) -> Iterator[Aws]:
    """boto3 clients of the simulated services, for arranging and for looking."""
    opened: list[Any] = []

    def client(service: str) -> Any:
        opened.append(boto3.client(service, region_name=REGION, endpoint_url=endpoint))
        return opened[-1]

    yield client
    for each in opened:
        each.close()


@pytest.fixture
def name() -> str:
    """A name that no other test uses: the simulator outlives the test."""
    return f"t-{uuid4().hex[:12]}"


class Scripted:
    """An HTTP server that answers request after request as it was told; the last answer is kept for the rest."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                self.body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815  the base class names them

            def log_message(self, *_: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(
    status: int, body: bytes = b"", *, send: int | None = None, close: bool = False, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer; `send` cuts its body after so many bytes and breaks the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[:send])
        handler.close_connection = close or send is not None

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Take the request and break the connection without a word."""
    handler.close_connection = True


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()
