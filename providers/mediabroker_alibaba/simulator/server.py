"""HTTP/1.1 on loopback, faithful to the byte: raw targets and headers in, exact lengths out; a thread a connection."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cached_property
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, BinaryIO, cast

from typing_extensions import Self

from mediabroker.clock import Clock, SystemClock
from mediabroker_alibaba.simulator.bodies import open_body

__all__ = ["Answer", "LoopbackServer", "Request", "Response"]

_log = logging.getLogger(__name__)

_LINE_LIMIT_BYTES = 1 << 20
_DRAIN_LIMIT_BYTES = 1 << 20
_IDLE_S = 120.0
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Request:
    """A request as it came. `target` and the header values are verbatim: signatures are made over them.

    Attributes:
        target: the request target, as `/queues/q/messages?waitseconds=3`.
        stream: the body, unframed and not read yet; ends early with `ConnectionError` when the client went away.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    stream: BinaryIO

    @property
    def path(self) -> str:
        """The target before its `?`, not decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target after its first `?`, not decoded."""
        return self.target.partition("?")[2]

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, in any capitalisation."""
        wanted = name.lower()
        return next((value for each, value in self.headers if each.lower() == wanted), default)

    @cached_property
    def body(self) -> bytes:
        """All of the body, in memory; for bodies that are known to be small."""
        return self.stream.read()


@dataclass(frozen=True)
class Response:
    """What goes back. `Content-Length` and `Date` are added where they are missing.

    Attributes:
        body: bytes, or an open file, read from where it stands and closed afterwards.
        length: how many bytes of a file are sent; required for one.
        cut_after_bytes: close the connection after so many bytes of the body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | BinaryIO = b""
    length: int | None = None
    cut_after_bytes: int | None = None

    @property
    def size_bytes(self) -> int:
        """Of the body."""
        if isinstance(self.body, bytes):
            return len(self.body)
        if self.length is None:
            raise ValueError("length: a file is sent with its length")
        return self.length


Answer = Callable[[Request], "Response | None"]
"""A service: None closes the connection without a word."""


class LoopbackServer:
    """Serves one `answer` at `url` from the moment it is made, every connection in a thread of its own.

    Args:
        clock: for `Date`.
        port: 0 takes a free one.
    """

    def __init__(self, answer: Answer, *, clock: Clock | None = None, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _handler(answer, clock or SystemClock()))
        self.port: int = self._server.server_address[1]
        self.netloc = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.netloc}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name=f"serve {self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving: connections are closed and their threads have ended."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Knows its open connections: a kept-alive one would hold its thread, and `close`, for ever."""

    daemon_threads = False  # only threads that are no daemons are joined
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _handler(answer: Answer, clock: Clock) -> type[BaseHTTPRequestHandler]:
    class Handler(_Connection):
        def answer(self, request: Request) -> Response | None:
            return answer(request)

        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  the base class has it
            return format_datetime(clock.now(), usegmt=True)

    return Handler


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True
    headers: HTTPMessage

    def answer(self, request: Request) -> Response | None:
        raise NotImplementedError

    def handle_one_request(self) -> None:
        """As the base class does, without its limit of 64 KiB on the request line and its list of methods."""
        try:
            self.raw_requestline = self.rfile.readline(_LINE_LIMIT_BYTES)
            if not self.raw_requestline.endswith(b"\n"):
                self.close_connection = True
            elif self.parse_request():
                self._serve()
            self.wfile.flush()
        except OSError:  # the client went away or idled too long
            self.close_connection = True

    def finish(self) -> None:
        # What could not be written is tried once more when the stream closes, and nobody is there to hear it.
        with suppress(OSError):
            super().finish()
        self.rfile.close()

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, *_: Any) -> None:
        return None

    def _serve(self) -> None:
        # `self.path` is not the target: the base class folds slashes at its beginning.
        target = self.requestline.split()[1]
        stream = open_body(cast("BinaryIO", self.rfile), dict(self.headers))
        request = Request(self.command, target, tuple(self.headers.items()), stream)
        try:
            response = self.answer(request)
        except ConnectionError:
            raise
        except Exception:
            _log.exception("the simulator failed at %s %s", self.command, request.path)
            response = Response(500, (("Content-Type", "text/plain"),), b"the simulator failed; see its log")
        if response is None:
            self.close_connection = True
            return
        # An unread rest of the body would be taken for the next request; a long one is not worth reading.
        unread = stream.read(_DRAIN_LIMIT_BYTES)
        if len(unread) == _DRAIN_LIMIT_BYTES or response.cut_after_bytes is not None:
            self.close_connection = True
        self._send(response)

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        given = {name.lower() for name, _ in response.headers}
        for name, value in response.headers:
            self.send_header(name, value)
        if "date" not in given:
            self.send_header("Date", self.date_time_string())
        if "content-length" not in given and response.status not in (204, 304):
            self.send_header("Content-Length", str(response.size_bytes))
        if self.close_connection and response.cut_after_bytes is None:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self._send_body(response)
        elif not isinstance(response.body, bytes):
            response.body.close()

    def _send_body(self, response: Response) -> None:
        limit = response.size_bytes if response.cut_after_bytes is None else response.cut_after_bytes
        if isinstance(response.body, bytes):
            self.wfile.write(response.body[:limit])
            return
        with response.body as file:
            while limit > 0 and (chunk := file.read(min(limit, _CHUNK_BYTES))):
                self.wfile.write(chunk)
                limit -= len(chunk)
