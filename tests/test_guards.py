"""The guards of `conftest.py` guard."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from threading import Thread

import pytest

from mediabroker.config import data_folder
from tests.conftest import OutsideWorldError

DOCUMENTATION_HOST = "192.0.2.1"  # reserved for documentation, never routed: RFC 5737


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as stream, pytest.raises(OutsideWorldError):
        stream.connect((DOCUMENTATION_HOST, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as datagram, pytest.raises(OutsideWorldError):
        datagram.sendto(b"x", (DOCUMENTATION_HOST, 53))
    with pytest.raises(OutsideWorldError):
        socket.getaddrinfo("example.com", 80)


def test_no_thread_of_a_test_reaches_another_machine() -> None:
    seen = []

    def reach() -> None:
        try:
            socket.create_connection((DOCUMENTATION_HOST, 80), timeout=1)
        except OutsideWorldError as error:
            seen.append(error)

    thread = Thread(target=reach)
    thread.start()
    thread.join()
    assert len(seen) == 1


def test_loopback_and_unix_sockets_are_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b"x")
        assert there.recv(1) == b"x"


def test_the_environment_is_clean_and_data_goes_to_the_tests_own_folder(tmp_path: Path) -> None:
    assert data_folder() == tmp_path / "data"
    ours = [name for name in os.environ if name.startswith(("MEDIABROKER_", "AWS_", "ALIBABA_"))]
    assert set(ours) <= {"MEDIABROKER_DATA_DIR", "MEDIABROKER_DATA"}
