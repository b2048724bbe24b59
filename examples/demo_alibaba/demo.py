"""Alibaba Cloud on this machine: covers, a logo removed, a cartoon, a smaller video, and what cannot be done here.

    python examples/demo_alibaba/demo.py VIDEO.mp4 FOLDER

MPS, MNS and OSS are simulated: signatures are checked, messages are real, and the jobs are really done, with ffmpeg.
Against the vendor itself the same program needs another configuration and nothing else.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

from mediabroker import Broker, Job, JobFailed, JobFailedError, JobSpec, JobSucceeded, MediaURI, Transcode
from mediabroker.config import load_settings
from mediabroker.jobs import Rendition
from mediabroker.media.probe import probe
from mediabroker.production import Box, CaptionExtraction, Cover, ImageCartoonize, VideoDelogo
from mediabroker.sandbox import Sandboxes
from mediabroker.storage import Stores

SOURCE = "oss://media/in/clip.mp4"
UPPER_LEFT = Box(x=0.02, y=0.02, width=0.3, height=0.15)


def main(video: Path, folder: Path) -> None:
    say("Start MPS, MNS and OSS on 127.0.0.1")
    with Sandboxes(["alibaba"], folder / "sandbox") as sandbox, sandbox.in_environment():
        settings = load_settings(sandbox.config_path)
        for name, value in sandbox.facts["alibaba"].items():
            tell(f"{name:>10}  {value}")
        # Nobody asks the vendor by the clock here: what moves the jobs on is the messages in the queue.
        quiet = settings.model_copy(update={"reconcile_s": 3600.0})
        with closing(Stores(settings.stores)) as stores, Broker(quiet) as broker:
            say(f"Upload a clip to {SOURCE}")
            stores.copy(MediaURI(str(video)), MediaURI(SOURCE), overwrite=True)
            describe("source", video)
            jobs = submit(broker)
            follow(broker, sandbox.facts["alibaba"]["events"], jobs)
            for name, job in jobs.items():
                show(name, job, stores, folder)


def submit(broker: Broker) -> dict[str, Job[Any]]:
    say("Submit four jobs: SubmitIProductionJob for three of them, SubmitJobs for the transcode")
    small = (Rendition(height_px=180, video_bitrate_bps=300_000),)
    specs: dict[str, JobSpec[Any]] = {
        "Cover": Cover(input=SOURCE, output="oss://media/covers/{source}-{sequenceId}.jpg"),
        "VideoDelogo": VideoDelogo(input=SOURCE, output="oss://media/out/clean.mp4", boxes=(UPPER_LEFT,)),
        "CaptionExtraction": CaptionExtraction(input=SOURCE, output="oss://media/out/{source}.srt"),
        "Transcode": Transcode(input=SOURCE, output="oss://media/out/small.mp4", renditions=small),
    }
    jobs = {name: broker.submit(spec) for name, spec in specs.items()}
    for name, job in jobs.items():
        tell(f"{name:>17}  {job.ref}")
    return jobs


def follow(broker: Broker, queue: str, jobs: dict[str, Job[Any]]) -> None:
    """Print the events until every job has ended; the best cover becomes a fifth job, a cartoon."""
    say(f"Listen to {queue}")
    ended = set[str]()
    with broker.events(queue, idle_timeout=300) as events:
        for event in events:
            name = next((name for name, job in jobs.items() if job.id == event.ref.job_id), "?")
            tell(f"{event.occurred_at:%H:%M:%S}  {name:>17}  {event.type}")
            if isinstance(event, (JobSucceeded, JobFailed)):
                ended.add(name)
            if name == "Cover" and isinstance(event, JobSucceeded):
                best = event.result.covers[0]
                tell(f"the best cover is {best.uri}, {best.at_s} s after the start: draw it as a cartoon")
                cartoon = ImageCartoonize(input=best.uri, output="oss://media/out/{source}-cartoon.png")
                jobs["ImageCartoonize"] = broker.submit(cartoon)
            if ended == set(jobs):
                return
    sys.exit("no event came for five minutes")


def show(name: str, job: Job[Any], stores: Stores, folder: Path) -> None:
    say(name)
    try:
        result = job.result(timeout=60)
    except JobFailedError as failed:
        tell(f"failed: {failed.error.code} ({failed.error.provider_code}): {failed.error.message}")
        return
    tell(repr(result))
    for output in result.outputs:
        local = folder / Path(output.uri.key).name
        stores.copy(output.uri, MediaURI(str(local)), overwrite=True)
        describe(str(output.uri), local)


def describe(what: str, path: Path) -> None:
    """Open a file and say what it is."""
    if path.suffix in (".jpg", ".png"):
        with Image.open(path) as picture:
            picture.load()
            tell(f"{what}: {picture.format} {picture.width} x {picture.height}, {path.stat().st_size} bytes  {path}")
        return
    media = probe(path)
    stream = media.video[0]
    tell(
        f"{what}: {media.container} {stream.codec} {stream.width_px} x {stream.height_px}, "
        f"{media.duration_s:.2f} s, {media.size_bytes} bytes  {path}"
    )


def say(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
