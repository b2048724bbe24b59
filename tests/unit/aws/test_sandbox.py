"""The sandbox of AWS: what the printed configuration promises is there, and what happens reaches the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker import Broker, JobEvent, JobFailed, JobQueued, JobSucceeded, SuperResolution, Transcode
from mediabroker.config import BrokerSettings, load_settings
from mediabroker.jobs import JobSpec
from mediabroker.refs import MediaURI
from mediabroker.sandbox import Sandboxes
from mediabroker.storage import Stores
from mediabroker_aws.simulator.rigs.batch import make_clip

_SOURCE = "s3://media/in/clip.mp4"
_NEVER_ASK_S = 3600.0
"""Between two looks at all jobs: what is heard in time has come through the queue."""


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    with Sandboxes(["aws"], tmp_path_factory.mktemp("sandbox")) as sandboxes:
        yield sandboxes


@pytest.fixture
def settings(sandboxes: Sandboxes, tmp_path: Path) -> Iterator[BrokerSettings]:
    with sandboxes.in_environment():
        settings = load_settings(sandboxes.config_path)
        with closing(Stores(settings.stores)) as stores:
            stores.copy(MediaURI(str(make_clip(tmp_path / "clip.mp4"))), MediaURI(_SOURCE), overwrite=True)
        yield settings.model_copy(update={"reconcile_s": _NEVER_ASK_S})


def _follow(settings: BrokerSettings, spec: JobSpec[Any], queue: str = "sqs://media-events") -> list[JobEvent]:
    """Submit a job; its events until it has ended."""
    heard: list[JobEvent] = []
    with Broker(settings) as broker:
        job = broker.submit(spec)
        with broker.events(queue, consumer=job.id, idle_timeout=60) as events:
            for event in events:
                if event.ref.job_id == job.id:
                    heard.append(event)
                if heard and isinstance(heard[-1], (JobSucceeded, JobFailed)):
                    break
    return heard


def test_the_worker_upscales_and_its_events_reach_the_queue(settings: BrokerSettings) -> None:
    heard = _follow(settings, SuperResolution(input=_SOURCE, output="s3://media/out/clip.mp4"))
    assert isinstance(heard[0], JobQueued)
    assert isinstance(heard[-1], JobSucceeded)
    assert heard[-1].result.frame_count == 24
    assert heard[-1].ref.provider == "aws-batch"


def test_the_transcoder_transcodes_and_tells_the_queue(settings: BrokerSettings) -> None:
    heard = _follow(settings, Transcode(input=_SOURCE, output="s3://media/films/", container="hls"))
    assert isinstance(heard[-1], JobSucceeded)
    assert heard[-1].result.outputs[0].uri.name == "clip.m3u8"
    assert heard[-1].ref.provider == "aws-lambda"
