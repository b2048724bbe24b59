"""The sandbox of AWS: what the printed configuration promises is there, and events of Batch reach the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker import Broker, JobFailed, JobQueued, JobSucceeded, SuperResolution
from mediabroker.config import load_settings
from mediabroker.refs import MediaURI
from mediabroker.sandbox import Sandboxes
from mediabroker.storage import Stores
from mediabroker_aws.contract_rig import make_clip

_SOURCE, _TARGET = "s3://media/in/clip.mp4", "s3://media/out/clip.mp4"


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Sandboxes]:
    with Sandboxes(["aws"], tmp_path / "box") as sandboxes, sandboxes.in_environment():
        yield sandboxes


def test_events_of_a_job_reach_the_queue_and_its_consumer(sandboxes: Sandboxes, tmp_path: Path) -> None:
    settings = load_settings(sandboxes.config_path)
    with closing(Stores(settings.stores)) as stores:
        stores.copy(MediaURI(str(make_clip(tmp_path / "clip.mp4"))), MediaURI(_SOURCE))
    heard = []
    with Broker(settings.model_copy(update={"reconcile_s": 3600.0})) as broker:
        job = broker.submit(SuperResolution(input=_SOURCE, output=_TARGET))
        with broker.events("sqs://media-events", idle_timeout=60) as events:
            for event in events:
                heard.append(event)
                if isinstance(event, (JobSucceeded, JobFailed)):
                    break
    assert {event.ref.job_id for event in heard} == {job.id}
    assert isinstance(heard[0], JobQueued)
    assert isinstance(heard[-1], JobSucceeded)
    assert heard[-1].result.frame_count == 24
