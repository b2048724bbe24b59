"""Ctrl-C: the first asks the job to cancel, the second leaves, and each says what became of the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, Transcode
from mediabroker.cli.failures import Interrupted
from mediabroker.cli.follow import follow
from mediabroker.cli.terminal import Terminal
from mediabroker.config import BrokerSettings
from mediabroker.spi import Call, Reply, Transport
from mediabroker.states import JobState
from tests.ledger import LedgerProvider
from tests.unit.local.rig import Workshop, until


@pytest.fixture
def shop(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path / "shop", clip)
    workshop.folder.mkdir()
    workshop.gated()
    config = f'[providers.local]\nroot = "{workshop.root}"\nffmpeg = "{workshop.folder / "gated-ffmpeg"}"\n'
    (tmp_path / "mediabroker.toml").write_text(config)
    monkeypatch.setenv("MEDIABROKER_CONFIG", str(tmp_path / "mediabroker.toml"))  # only a named file may name programs
    yield workshop
    workshop.close()


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mediabroker", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_one_interrupt_cancels_the_job_and_leaves_no_output(shop: Workshop, tmp_path: Path, clip: Path) -> None:
    with start(tmp_path, "transcode", clip, "out.mp4") as process:
        shop.wait_at_gate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "is cancelled; nothing was written" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out.mp4").exists()


def test_an_interrupted_watch_leaves_the_job_running(shop: Workshop, tmp_path: Path, clip: Path) -> None:
    with start(tmp_path, "transcode", clip, "out.mp4", "--detach") as process:
        process.communicate(timeout=60)
    shop.wait_at_gate()
    with Broker.from_config(tmp_path / "mediabroker.toml") as broker:
        job = next(broker.list())
        with start(tmp_path, "watch", job.id) as process:
            assert process.stderr is not None
            until(lambda: process.stderr and process.stderr.readline(), "the first line of progress")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert f"mediabroker watch {job.id}" in err
        assert not job.refresh().state.is_terminal
        shop.open_gate()
        assert job.wait(60).state is JobState.SUCCEEDED


class _Interrupting:
    """A transport during whose first cancel somebody presses Ctrl-C once more."""

    def __init__(self, real: Transport) -> None:
        self._real = real
        self._presses = iter([True])

    def perform(self, call: Call[Any]) -> Reply:
        if call.effect == "cancel" and next(self._presses, False):
            os.kill(os.getpid(), signal.SIGINT)
        return self._real.perform(call)

    def close(self) -> None:
        self._real.close()


class _InterruptingProvider(LedgerProvider):
    def connect(self, service: str) -> Transport:
        return _Interrupting(super().connect(service))


def test_the_second_interrupt_leaves_at_once_and_names_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    provider = _InterruptingProvider("ledger", {"folder": tmp_path / "vendor"})
    with Broker(settings, providers={"ledger": provider}) as broker:
        job = broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
        presses = iter([True])

        def press(self: object, shown: object) -> None:
            if next(presses, False):
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr("mediabroker.cli.meter._Lines.show", press)
        with pytest.raises(Interrupted, match=f"mediabroker watch {job.id}"):
            follow(Terminal(), job, cancel_on_interrupt=True)
        assert job.wait(60).state is JobState.CANCELLED, "whoever looks at the job next asks again"
