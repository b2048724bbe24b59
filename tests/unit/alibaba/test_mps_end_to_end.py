"""MPS through the broker over the simulated cloud, whose jobs are really done: typed results, files that open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediabroker import Broker, Cover, JobFailedError, JobState, MediaInfo, Snapshot, Transcode
from mediabroker.config import BrokerSettings
from mediabroker.media.probe import probe
from mediabroker.refs import MediaURI
from mediabroker_alibaba import MpsProvider
from mediabroker_alibaba.mps.client import MpsClient
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.simulator import AlibabaSimulator
from tests import clips

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AlibabaSimulator]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with AlibabaSimulator(pump_s=0.05) as cloud:
        account = cloud.add_account()
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", account.key.access_key_id)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", account.key.access_key_secret)
        cloud.create_bucket(account, "media")
        clip = clips.make_clip(tmp_path / "a.mp4", frames=50, width=640, height=360)
        cloud.oss.store(account.id, "media", "in/a.mp4", clip)
        yield cloud


@pytest.fixture
def broker(cloud: AlibabaSimulator, tmp_path: Path) -> Iterator[Broker]:
    where = cloud.endpoints()
    settings = {
        "region": cloud.region,
        "endpoint_url": where.mps,
        "oss_endpoint_url": where.oss,
        "poll_interval_s": 0.1,
    }
    client = MpsClient(MpsSettings.model_validate(settings))
    settings["pipeline"] = client.send("SearchPipeline", {})["PipelineList"]["Pipeline"][0]["Id"]
    client.close()
    chosen = BrokerSettings(
        store=f"sqlite:///{tmp_path / 'jobs.db'}",
        stores={"oss": {"region": cloud.region, "endpoint_url": where.oss}},
        staging={"oss": MediaURI("oss://media/staging/")},
    )
    with Broker(chosen, providers={"mps": MpsProvider("mps", settings)}) as broker:
        yield broker


def test_a_ladder_plays_from_its_master_playlist(cloud: AlibabaSimulator, broker: Broker, tmp_path: Path) -> None:
    result = broker.run(
        Transcode(input="oss://media/in/a.mp4", output="oss://media/hls/a.m3u8", container="hls"), timeout=120
    )
    assert (result.width_px, result.height_px) == (640, 360)
    names = [each.uri.name for each in result.outputs]
    assert names == ["a.m3u8", "a-0_240p.m3u8", "a-1_360p.m3u8"]
    folder = tmp_path / "hls"
    folder.mkdir()
    for key, stored in cloud.oss.buckets["media"].objects.items():
        if key.startswith("hls/"):
            (tmp_path / key).write_bytes(stored.blob.path.read_bytes())
    text = (folder / "a.m3u8").read_text()
    assert [line for line in text.splitlines() if not line.startswith("#")] == names[1:]
    assert "RESOLUTION=640x360" in text
    assert "CODECS" not in text
    heights = [probe(each).video[0].height_px for each in sorted(folder.glob("*-00001.ts"))]
    assert heights == [240, 360]


def test_covers_are_pictures_with_a_score(cloud: AlibabaSimulator, broker: Broker, tmp_path: Path) -> None:
    result = broker.run(Cover(input="oss://media/in/a.mp4", output="oss://media/c/{sequenceId}.jpg"), timeout=120)
    assert result.covers
    assert [each.uri for each in result.covers] == [each.uri for each in result.outputs]
    assert all(each.size_bytes for each in result.outputs)
    first = cloud.oss.buckets["media"].objects[result.outputs[0].uri.key]
    path = tmp_path / "cover.jpg"
    path.write_bytes(first.blob.path.read_bytes())
    assert probe(path, images=True).video[0].width_px == 640


def test_pictures_at_several_times_have_the_names_that_were_asked_for(broker: Broker) -> None:
    spec = Snapshot(input="oss://media/in/a.mp4", output="oss://media/s-{index}.jpg", at_s=(0, 1))
    assert [each.uri.name for each in broker.run(spec, timeout=120).outputs] == ["s-1.jpg", "s-2.jpg"]


def test_media_information_is_kept_where_it_was_asked_for(cloud: AlibabaSimulator, broker: Broker) -> None:
    result = broker.run(MediaInfo(input="oss://media/in/a.mp4", output="oss://media/a.json"), timeout=120)
    assert result.media is not None
    assert (result.media.video[0].width_px, result.media.video[0].height_px) == (640, 360)
    stored = cloud.oss.buckets["media"].objects["a.json"].blob.path.read_text()
    assert type(result.media).model_validate_json(stored) == result.media


def test_an_output_that_is_there_is_not_replaced(cloud: AlibabaSimulator, broker: Broker) -> None:
    spec = Transcode(input="oss://media/in/a.mp4", output="oss://media/in/b.mp4")
    first = broker.run(spec, timeout=120)
    assert first.outputs[0].size_bytes
    job = broker.submit(spec)
    assert job.state is JobState.FAILED
    with pytest.raises(JobFailedError, match="OUTPUT_EXISTS"):
        job.result()


def test_a_source_that_is_not_there_is_told_before_a_transcode_begins(broker: Broker) -> None:
    job = broker.submit(Transcode(input="oss://media/in/none.mp4", output="oss://media/out.mp4"))
    assert job.error is not None
    assert job.error.code == "INPUT_NOT_FOUND"


def test_a_ladder_comes_home_when_source_and_output_lie_on_this_machine(
    cloud: AlibabaSimulator, broker: Broker, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    spec = Transcode(input=str(tmp_path / "a.mp4"), output=str(home / "a.m3u8"), container="hls")
    result = broker.run(spec, timeout=120)
    assert [each.uri.path for each in result.outputs] == [
        home / name for name in ("a.m3u8", "a-0_240p.m3u8", "a-1_360p.m3u8")
    ]
    assert probe(home / "a-1_360p-00001.ts").video[0].height_px == 360
    assert [key for key in cloud.oss.buckets["media"].objects if key.startswith("staging/")] == []
