"""What holds for every test: only loopback and unix sockets, a clean environment, and an end in bounded time."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

from tests.postgresql import PostgresqlServer

_LOOPBACK = frozenset({None, "", b"", "localhost", "127.0.0.1", "::1", "0.0.0.0", b"localhost", b"127.0.0.1"})
_FOREIGN_PREFIXES = ("MEDIABROKER_", "AWS_", "ALIBABA_", "ALIYUN_", "OSS_", "XDG_CONFIG_HOME")
_SHARED_DATA = "MEDIABROKER_DATA"
_LIMIT_S = 120.0
_GRACE_S = 15.0
_STDERR = pytest.StashKey[int]()

settings.register_profile("mediabroker", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("mediabroker")


def _read_service_descriptions_once() -> None:
    """Each session of boto3 reads the descriptions of its services anew, megabytes of JSON that never change: half the
    time of a test that opens several."""
    try:
        from botocore.loaders import JSONFileLoader
    except ModuleNotFoundError:
        return  # the worker's tests also run where there is a worker and nothing else
    read_once = cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read_once(path)  # type: ignore[method-assign]


class OutsideWorldError(RuntimeError):
    """A test tried to reach something that is not this machine."""


def _only_this_machine(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a unix socket's address is a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if host not in _LOOPBACK:
        raise OutsideWorldError(f"{event} to {host!r}: tests may only use loopback and unix sockets")


def pytest_configure(config: pytest.Config) -> None:
    _read_service_descriptions_once()
    config.addinivalue_line("markers", f"limit_s(seconds): the most one test may take; {_LIMIT_S:.0f} otherwise")
    config.stash[_STDERR] = os.dup(2)  # the real one: while tests run, 2 is captured
    # An audit hook sees every way to a socket, in every thread, and cannot be undone by what is under test.
    sys.addaudithook(_only_this_machine)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whoever runs the suite in the background has a shell that ignores Ctrl-C, and children would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [each for each in os.environ if each.startswith(_FOREIGN_PREFIXES) and each != _SHARED_DATA]:
        del os.environ[name]


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End a test that hangs: as a failure of its own, and if that does not help, with every stack and an exit."""
    marker = item.get_closest_marker("limit_s")
    limit_s = float(marker.args[0]) if marker else _LIMIT_S

    def give_up(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{item.nodeid} took longer than {limit_s:g} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test or its fixtures set is gone after it, also what `monkeypatch` would bring back from a fixture."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def clean_environment(own_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores and local jobs go to the test's own folder, and no configuration of this machine's user is read."""
    monkeypatch.setenv("MEDIABROKER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def shared_data() -> Iterator[Path]:
    """The folder with reference clips and pictures, beside the checkout or where `MEDIABROKER_DATA` says."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get(_SHARED_DATA) or beside)
    if not folder.is_dir():
        pytest.skip(f"the reference data is not here; set {_SHARED_DATA}")
    yield folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A server of this process's own."""
    server = PostgresqlServer()
    yield server
    server.close()
