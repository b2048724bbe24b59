"""The transcoding function beside ffmpeg alone, and a ladder from one decode beside a run for each rendition."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from unittest.mock import patch

from benchmarks.aws.finding import Finding, Setting, Spent, spending
from benchmarks.engine.clip import RATE_FPS, find_source, make_clip
from mediabroker.jobs import Rendition
from mediabroker.media.arguments import build_hls, build_mp4
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.media.ladders.ladder import choose_rungs, source_bitrate
from mediabroker.media.probe import Source, examine
from mediabroker.media.transcode import TranscodeSettings, transcode
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.functions.transcode.worker import Worker
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.simulator.functions.function import Context
from mediabroker_aws.simulator.sandbox import BUCKET, AwsSandbox
from mediabroker_aws.transcoder.status import Status, StatusBoard
from mediabroker_aws.transcoder.wire import Names, TranscodeRequest, choose_renditions

__all__ = ["function", "ladder"]

_HEIGHT_PX, _WIDTH_PX = 720, 1280
_SHARES = ((360, 0.25), (480, 0.4), (720, 0.8))
"""Height and share of the source's bitrate of each rendition, so that none of them is left out."""
_LIMIT_S = 3600.0


def function(setting: Setting) -> Iterator[Finding]:
    """The transcoding function, from its claim to the uploaded video, beside ffmpeg with the same arguments."""
    folder = setting.fresh("function")
    clip = _clip(setting, folder)
    source = examine(clip)
    request = TranscodeRequest(bucket=BUCKET, src="a.mp4", dst="out/", type="mp4", time="20160426000001", v_height=720)
    renditions = choose_renditions("mp4", request.v_height, request.v_bitrate)
    rung = choose_rungs(source.media, source.media.video[0], renditions)[0]
    arguments = build_mp4(source, TranscodeSettings(renditions=renditions), rung=rung)

    def serve(place: Path) -> Spent:
        with _account(place, clip):
            work = _accept(request)
            worker = Worker(TranscoderSettings(buckets=BUCKET, worker_timeout_s=_LIMIT_S))
            context = Context("worker", "arn", "benchmark", time.time() + _LIMIT_S, memory_mb=10_240)
            with _all_spending() as spent:
                ended = worker({"work": work}, context)
                served = spent()
        if ended["state"] != "succeeded":
            raise RuntimeError(f"the function ended {json.dumps(ended)}")
        return served

    runs = _by_turns(setting, folder, {"ffmpeg": lambda place: _ffmpeg([arguments], place), "function": serve})
    yield _finding(f"function, {_sized(setting)} to mp4", runs, goal=1.05)


def ladder(setting: Setting) -> Iterator[Finding]:
    """Three HLS renditions from one decode, read back and published, beside three runs of ffmpeg."""
    folder = setting.fresh("ladder")
    source = examine(_clip(setting, folder))
    wanted = _three(source)
    rungs = choose_rungs(source.media, source.media.video[0], wanted)
    if len(rungs) != len(wanted):
        raise RuntimeError(f"the clip lets {len(rungs)} renditions be made, not {len(wanted)}")
    settings = TranscodeSettings(container="hls", renditions=wanted)
    arguments = [build_hls(source, settings, rungs=[each]) for each in rungs]

    def climb(place: Path) -> Spent:
        with _all_spending() as spent:
            transcode(source.path, place / "video.m3u8", settings)
            return spent()

    runs = _by_turns(setting, folder, {"apart": lambda place: _ffmpeg(arguments, place), "together": climb})
    yield _finding(f"ladder, {_sized(setting)} to three renditions", runs, goal=1.0)


def _clip(setting: Setting, folder: Path) -> Path:
    frames = setting.seconds * RATE_FPS
    return make_clip(find_source(), folder / "clip.mp4", width=_WIDTH_PX, height=_HEIGHT_PX, frames=frames)


def _sized(setting: Setting) -> str:
    return f"{setting.seconds} s of {_WIDTH_PX}x{_HEIGHT_PX}"


def _three(source: Source) -> tuple[Rendition, ...]:
    limit_bps = source_bitrate(source.media, source.media.video[0]) or 2_000_000
    return tuple(Rendition(height_px=height, video_bitrate_bps=int(limit_bps * share)) for height, share in _SHARES)


def _by_turns(setting: Setting, folder: Path, ways: Mapping[str, Callable[[Path], Spent]]) -> dict[str, Spent]:
    """Medians of rounds in which each way has its turn, so that the machine's moods fall on all of them alike."""
    runs: dict[str, list[Spent]] = {name: [] for name in ways}
    for _, (name, way) in product(range(setting.rounds), ways.items()):
        place = folder / name
        place.mkdir()
        runs[name].append(way(place))
        shutil.rmtree(place)
    return {
        name: Spent(statistics.median(each.wall_s for each in spent), statistics.median(each.cpu_s for each in spent))
        for name, spent in runs.items()
    }


def _ffmpeg(runs: Sequence[Sequence[str]], folder: Path) -> Spent:
    """The same binary, one run after the other."""
    with spending() as spent:
        for arguments in runs:
            command = [str(find_ffmpeg()), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", *arguments]
            subprocess.run(command, cwd=folder, check=True)
        return spent()


@contextmanager
def _all_spending() -> Iterator[Callable[[], Spent]]:
    """As `spending`, with the processor time of this process, which does what surrounds ffmpeg."""
    own_s = time.process_time()
    with spending() as spent:

        def both() -> Spent:
            children = spent()
            return children._replace(cpu_s=children.cpu_s + time.process_time() - own_s)

        yield both


@contextmanager
def _account(folder: Path, clip: Path) -> Iterator[None]:
    sandbox = AwsSandbox(folder)
    try:
        with patch.dict(os.environ, sandbox.environment):
            stores = Stores(sandbox.settings["stores"])
            stores.copy(MediaURI(clip), MediaURI(f"s3://{BUCKET}/a.mp4"))
            stores.close()
            yield
    finally:
        sandbox.close()


def _accept(request: TranscodeRequest) -> str:
    """Put the work down as the service does when it is asked; its id."""
    names = Names.of(request, request.src)
    assert names is not None
    board = StatusBoard(S3Store({}))
    board.write(
        names.work, Status(state="queued", source=names.source, output=names.output, request=request), replaces=None
    )
    return names.work


def _finding(what: str, runs: dict[str, Spent], *, goal: float) -> Finding:
    base, ours = runs.values()
    return Finding(what, runs, ratio=ours.wall_s / base.wall_s, by_cpu=ours.cpu_s / base.cpu_s, goal=goal)
