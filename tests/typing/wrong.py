"""Mistakes that a type checker must report: every line that ends in `# wrong`, and no other."""

from __future__ import annotations

from mediabroker import Broker, JobFailed, MediaInfo, Snapshot, SuperResolution, Transcode, VideoEncoder, VideoResult


def mistakes(broker: Broker, event: JobFailed) -> None:
    SuperResolution(input="in.mp4", output="out.mp4", scale=3)  # wrong
    SuperResolution(input="in.mp4", ouput="out.mp4", output="b.mp4")  # wrong
    SuperResolution(input="in.mp4")  # wrong
    SuperResolution(input="in.mp4", output="out.mp4", encoder={"crf": 20})  # wrong
    Transcode(input="in.mp4", output="out.mp4", container="mkv")  # wrong
    Snapshot(input="in.mp4", output="out.png", at_s="1")  # wrong
    VideoEncoder(codec="av1")  # wrong
    spec = SuperResolution(input="in.mp4", output="out.mp4")
    spec.scale = 4  # wrong
    broker.submit(spec, options={"capacity": "spot"})  # wrong
    broker.submit(spec, idempotency_ky="a")  # wrong
    broker.run(spec).hight_px.bit_length()  # wrong
    broker.run(MediaInfo(input="in.mp4")).width_px.bit_length()  # wrong
    result: VideoResult = broker.run(MediaInfo(input="in.mp4"))  # wrong
    event.result.outputs.index(result)  # wrong
