"""The worker's part of smart production: run the effect, and say in typed words what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import SmartProduction
from mediabroker.media.effects import EffectResult, EffectTask, run_effect
from mediabroker.media.ffmpeg.progress import Progress
from mediabroker.media.probe import probe
from mediabroker.refs import MediaURI
from mediabroker.results import (
    CoverImage,
    CoverResult,
    Frames,
    ImagesResult,
    JobResult,
    Output,
    ProductionResult,
    Segment,
    SegmentsResult,
    VideoResult,
)
from mediabroker_local.jobs.task import Task
from mediabroker_local.production import Namer, build_params, function_of

__all__ = ["produce"]


def produce(task: Task, target: Path | None) -> JobResult:
    """Do what the job asks for; its files lie beside `target`."""
    spec = task.spec
    if not isinstance(spec, SmartProduction):
        raise MediaError(ErrorCode.INVALID_SPEC, f"{spec.kind} is no smart production")
    task.report.phase("producing")
    folder, name = (target.parent, target.name) if target else (task.folder.work_path, "unused")
    made = run_effect(
        function_of(spec),
        EffectTask(
            source=spec.input.path,
            params=build_params(spec),
            outputs=Namer(folder, name, spec.input.path),
            stop=task.cancel,
            ffmpeg=task.ffmpeg,
            limits=task.process_limits,
            media_limits=task.media_limits,
            on_progress=lambda progress: _report(task, progress),
        ),
    )
    outputs = tuple(Output(uri=MediaURI(file), size_bytes=file.stat().st_size) for file in made.files)
    final = spec.output.path.parent if spec.output is not None else folder
    return _result(spec.result_type, made, final).model_copy(update={"outputs": outputs})


def _report(task: Task, progress: Progress) -> None:
    task.report.progress(progress.fraction, Frames(done=progress.frames, per_second=progress.fps))


def _result(kind: type[JobResult], made: EffectResult, final: Path) -> JobResult:
    build = _RESULTS.get(kind)
    return build(made, final) if build else JobResult()


def _covers(made: EffectResult, final: Path) -> CoverResult:
    scored: Any = made.data
    covers = [
        CoverImage(uri=MediaURI(final / file.name), score=each["score"], at_s=each["time_s"])
        for file, each in zip(made.files, scored, strict=True)
    ]
    return CoverResult(covers=tuple(covers), **_size(made.files[0]))


def _pictures(made: EffectResult, final: Path) -> ImagesResult:  # noqa: ARG001  one shape for all
    return ImagesResult(**_size(made.files[0]))


def _size(picture: Path) -> dict[str, Any]:
    with Image.open(picture) as opened:
        return {"width_px": opened.width, "height_px": opened.height}


def _segments(made: EffectResult, final: Path) -> SegmentsResult:  # noqa: ARG001  as above
    found: Any = made.data
    return SegmentsResult(segments=tuple(Segment.model_validate(each) for each in found))


def _video(made: EffectResult, final: Path) -> VideoResult:  # noqa: ARG001  as above
    media = probe(made.files[0])
    pictures = media.video[0] if media.video else None
    return VideoResult(
        width_px=pictures.width_px if pictures else None,
        height_px=pictures.height_px if pictures else None,
        frame_rate=pictures.frame_rate if pictures else None,
        frame_count=pictures.frame_count if pictures else None,
        duration_s=media.duration_s,
    )


def _open(made: EffectResult, final: Path) -> ProductionResult:  # noqa: ARG001  as above
    return ProductionResult(data=made.data)


_RESULTS: Mapping[type[JobResult], Callable[[EffectResult, Path], JobResult]] = {
    CoverResult: _covers,
    ImagesResult: _pictures,
    SegmentsResult: _segments,
    VideoResult: _video,
    ProductionResult: _open,
}
