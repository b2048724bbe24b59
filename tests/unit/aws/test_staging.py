"""The local provider with input and output in S3: the real worker, the real SDK, bytes really copied."""

from __future__ import annotations

from pathlib import Path

from mediabroker import Broker, MediaInfo, Transcode
from mediabroker.config import BrokerSettings, ProviderSettings
from mediabroker.jobs import Rendition
from tests.clips import make_clip
from tests.unit.aws.conftest import REGION, Aws


def test_a_ladder_from_s3_to_s3_is_made_on_this_machine_and_nothing_stays(
    tmp_path: Path, endpoint: str, aws: Aws, name: str
) -> None:
    s3 = aws("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.upload_file(str(make_clip(tmp_path / "clip.mp4", frames=8)), name, "in/a clip.mp4")
    settings = BrokerSettings(
        store=f"sqlite:///{tmp_path / 'jobs.db'}",
        providers={"local": ProviderSettings(type="local")},
        stores={"s3": {"endpoint_url": endpoint, "region": REGION, "path_style": True}},
        staging={"file": tmp_path / "staging"},  # type: ignore[dict-item]  # a path becomes a place
    )
    source, output = f"s3://{name}/in/a clip.mp4", f"s3://{name}/out/master.m3u8"
    ladder = Transcode(
        input=source,
        output=output,
        container="hls",
        renditions=(Rendition(height_px=64, video_bitrate_bps=100_000),),
    )
    with Broker(settings) as broker:
        job = broker.submit(ladder)
        result = job.result(timeout=100)
        assert broker.run(MediaInfo(input=source), timeout=100).media is not None
    made = {each["Key"]: each["Size"] for each in s3.list_objects_v2(Bucket=name, Prefix="out/")["Contents"]}
    assert result.outputs[0].uri == output
    assert made["out/master.m3u8"] == result.outputs[0].size_bytes
    assert any(key.endswith((".ts", ".m4s", ".mp4")) for key in made)
    playlist = s3.get_object(Bucket=name, Key="out/master.m3u8")["Body"].read().decode()
    named = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    assert named
    assert all(f"out/{each}" in made for each in named)
    assert not [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]
