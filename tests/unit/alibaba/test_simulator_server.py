"""The simulator's HTTP: what signers and long polls need of a server."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from mediabroker_alibaba.simulator.faults import Fault, FaultKind, Faults, spoil
from mediabroker_alibaba.simulator.server import LoopbackServer, Request, Response


class Echo:
    """Remembers requests and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.response: Response | None = Response(200, body=b"hello")
        self.reads = True

    def __call__(self, request: Request) -> Response | None:
        self.requests.append(request)
        if self.reads:
            assert request.body is not None
        return self.response


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[LoopbackServer]:
    with LoopbackServer(echo) as server:
        yield server


@pytest.fixture
def client(server: LoopbackServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield connection
    connection.close()


def test_target_and_header_values_arrive_verbatim(server: LoopbackServer, echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(
            b"GET //q/%2Fa+b?H=1-T==&x=/+ HTTP/1.1\r\nHost: h\r\nX-Mns-Note: a  b\r\nConnection: close\r\n\r\n"
        )
        assert wire.makefile("rb").read().endswith(b"hello")
    request = echo.requests[0]
    assert (request.target, request.path, request.query) == ("//q/%2Fa+b?H=1-T==&x=/+", "//q/%2Fa+b", "H=1-T==&x=/+")
    assert ("X-Mns-Note", "a  b") in request.headers
    assert request.header("x-mns-note") == "a  b"


def test_request_lines_of_200_kb_are_taken(client: http.client.HTTPConnection, echo: Echo) -> None:
    client.request("POST", "/?" + "a" * 200_000)
    assert client.getresponse().read() == b"hello"
    assert len(echo.requests[0].target) == 200_002


def test_connections_are_kept_alive_also_where_the_body_was_not_read(
    client: http.client.HTTPConnection, echo: Echo
) -> None:
    echo.reads = False
    client.request("POST", "/1", body=b"x" * 5000)
    assert client.getresponse().read() == b"hello"
    opened = client.sock
    client.request("GET", "/2")
    assert client.getresponse().read() == b"hello"
    assert client.sock is opened
    assert [each.path for each in echo.requests] == ["/1", "/2"]


def test_204_has_neither_length_nor_body_and_head_has_the_length_only(
    client: http.client.HTTPConnection, echo: Echo
) -> None:
    echo.response = Response(204)
    client.request("DELETE", "/")
    answer = client.getresponse()
    assert (answer.read(), answer.getheader("Content-Length")) == (b"", None)
    echo.response = Response(200, body=b"12345")
    client.request("HEAD", "/")
    answer = client.getresponse()
    assert (answer.read(), answer.getheader("Content-Length")) == (b"", "5")
    assert answer.getheader("Date")


def test_chunked_bodies_are_unframed(client: http.client.HTTPConnection, echo: Echo) -> None:
    client.request("PUT", "/", body=iter([b"one", b"", b"two" * 40_000]), encode_chunked=True)
    assert client.getresponse().read() == b"hello"
    assert echo.requests[0].body == b"one" + b"two" * 40_000


def test_body_that_breaks_off_is_an_error_of_the_connection() -> None:
    seen: list[Exception] = []
    done = Event()

    def reads(request: Request) -> Response:
        try:
            return Response(200, body=request.body)
        except ConnectionError as error:
            seen.append(error)
            done.set()
            raise

    with LoopbackServer(reads) as server:
        for framing in (b"Content-Length: 10\r\n\r\n1234", b"Transfer-Encoding: chunked\r\n\r\n5\r\n12"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
                wire.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\n" + framing)
            assert done.wait(20)
            done.clear()
    assert len(seen) == 2


def test_files_are_sent_from_where_they_stand(client: http.client.HTTPConnection, echo: Echo, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = (tmp_path / "file").open("rb")
    file.seek(3)
    echo.response = Response(206, body=file, length=4)
    client.request("GET", "/")
    assert client.getresponse().read() == b"3456"
    assert file.closed


def test_requests_that_wait_do_not_hold_up_others() -> None:
    together = Barrier(8)

    def waits(_: Request) -> Response:
        together.wait(60)
        return Response(200, body=b"together")

    def get(port: int) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        body = connection.getresponse().read()
        connection.close()
        return body

    with LoopbackServer(waits) as server, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(get, [server.port] * 8)) == [b"together"] * 8


def test_client_that_does_not_wait_for_its_answer_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    asked, gone = Event(), Event()

    def answers_late(_: Request) -> Response:
        asked.set()
        gone.wait(60)
        return Response(200, body=b"x" * (8 << 20))

    with LoopbackServer(answers_late) as server:
        wire = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, do not linger
        wire.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert asked.wait(60)
        wire.close()
        gone.set()
    assert capsys.readouterr().err == ""


def test_close_ends_kept_alive_connections(echo: Echo) -> None:
    server = LoopbackServer(echo)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/")
    connection.getresponse().read()
    server.close()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [("empty", 200, b""), ("html", 503, b"<html>"), ("error_after", 500, b"<html>"), ("delayed", 200, b"hello")],
)
def test_faults_spoil_the_answer(
    client: http.client.HTTPConnection, echo: Echo, kind: FaultKind, status: int, body: bytes
) -> None:
    echo.response = spoil(Response(200, body=b"hello"), Fault(kind, delay_s=0.01), Event())
    client.request("GET", "/")
    answer = client.getresponse()
    assert answer.status == status
    assert answer.read()[:6] == body


def test_lost_answers_close_and_truncated_ones_are_cut(client: http.client.HTTPConnection, echo: Echo) -> None:
    echo.response = spoil(Response(200, body=b"hello!"), Fault("truncated"), Event())
    client.request("GET", "/")
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.getresponse().read()
    assert cut.value.partial == b"hel"
    client.close()
    echo.response = spoil(Response(200, body=b"hello!"), Fault("lost"), Event())
    client.request("GET", "/")
    with pytest.raises(http.client.RemoteDisconnected):
        client.getresponse()


def test_faults_are_counted_off_by_operation_and_condition() -> None:
    faults = Faults()
    faults.add("mps.Submit*", "lost", times=2, when=lambda params: params.get("who") == "me")
    assert faults.take("mps.QueryJobList", {"who": "me"}) is None
    assert faults.take("mps.SubmitJobs", {"who": "you"}) is None
    assert [faults.take("mps.SubmitJobs", {"who": "me"}) is not None for _ in range(3)] == [True, True, False]


def test_failure_of_the_simulator_itself_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(_: Request) -> Response:
        raise RuntimeError("a defect")

    with LoopbackServer(breaks) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 500
        connection.close()
    assert "a defect" in caplog.text
