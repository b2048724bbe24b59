"""What a worker does for each kind; the result is made at `target`, beside the place where it will be published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import Snapshot, Transcode
from mediabroker.media.ffmpeg.progress import Progress
from mediabroker.media.probe import probe
from mediabroker.media.publish import output_errors
from mediabroker.media.transcode import TranscodeSettings, transcode
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, ImagesResult, JobResult, MediaInfoResult, Output, VideoResult
from mediabroker_local.jobs.task import Task
from mediabroker_local.production import KINDS as PRODUCTION_KINDS
from mediabroker_local.upscaling import upscale

__all__ = ["WORK"]


def _media_info(task: Task, target: Path | None) -> MediaInfoResult:
    task.report.phase("probing")
    media = probe(task.spec.input.path, limits=task.media_limits, images=True)
    if target is None:
        return MediaInfoResult(media=media)
    with output_errors(target):
        target.write_text(media.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return MediaInfoResult(media=media, outputs=(Output(uri=MediaURI(target), size_bytes=target.stat().st_size),))


def _transcode(task: Task, target: Path | None) -> VideoResult:
    spec = task.spec
    if not isinstance(spec, Transcode) or target is None:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{spec.kind} is no transcode with an output")
    task.report.phase("transcoding")
    return transcode(
        spec.input.path,
        target,
        TranscodeSettings.of(spec),
        on_progress=lambda progress: _report(task, progress),
        cancel=task.cancel,
        ffmpeg=task.ffmpeg,
        limits=task.process_limits,
        media_limits=task.media_limits,
    )


def _report(task: Task, progress: Progress) -> None:
    task.report.progress(progress.fraction, Frames(done=progress.frames, per_second=progress.fps))


def _snapshot(task: Task, target: Path | None) -> ImagesResult:
    from mediabroker.media.snapshot import snapshot  # noqa: PLC0415  loads numpy and Pillow, which no other kind needs

    spec = task.spec
    if not isinstance(spec, Snapshot) or target is None:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{spec.kind} is no snapshot with an output")
    task.report.phase("taking pictures")
    return snapshot(
        spec.input.path, target, spec.at_s, width_px=spec.width_px, cancel=task.cancel, limits=task.media_limits
    )


def _produce(task: Task, target: Path | None) -> JobResult:
    from mediabroker_local.effects import produce  # noqa: PLC0415  loads numpy and Pillow as well

    return produce(task, target)


WORK: Mapping[str, Callable[[Task, Path | None], JobResult]] = {
    "super_resolution": upscale,
    "transcode": _transcode,
    "snapshot": _snapshot,
    "media_info": _media_info,
    **dict.fromkeys(PRODUCTION_KINDS, _produce),
}
