"""Effects that give back pictures: covers of a video, and pictures made portrait or drawn like a cartoon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError
from pydantic import JsonValue

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.effects.looking import View, look, seen_video, window_at
from mediabroker.media.effects.params import CoverParams, NoParams, StyleParams
from mediabroker.media.effects.task import EffectResult, EffectTask, read_params
from mediabroker.media.probe import Source
from mediabroker.media.publish import output_errors, publish_file, workplace
from mediabroker.media.snapshot import frame_at, picture_of
from mediabroker.media.sniff import sniff
from mediabroker.media.source import media_errors, open_input

__all__ = ["cartoonize", "choose_covers", "cover", "reframe_picture"]

_COVERS = 3
_APART_SHARE = 0.1
"""Two covers lie at least this share of the video apart."""
_MOVING_FRAMES, _MOVING_S, _MOVING_WIDTH_PX = 12, 2.0, 320
_PORTRAIT = 9 / 16
_QUALITY = 92
_LEVELS = 8
_EDGE = 0.22
"""Brightness steps above this, of full scale, are drawn as lines."""


def cover(task: EffectTask) -> EffectResult:
    """Up to three stills that would do as a cover, best first, or one animated picture of the best moment.

    `data` is a list of `{"score": 0..10, "time_s"}` in the order of the files.
    """
    animated = read_params(task, CoverParams).Model == "gif"
    source = seen_video(task)
    best = choose_covers(look(task, source))
    if animated:
        files = [_moving(task, source, best[0][0].time_s)]
    else:
        files = [_still(task, source, view.time_s, number) for number, (view, _) in enumerate(best, 1)]
    data: list[JsonValue] = [{"score": round(10 * score, 2), "time_s": round(view.time_s, 3)} for view, score in best]
    return EffectResult(tuple(files), data[: len(files)])


def choose_covers(views: Sequence[View], count: int = _COVERS) -> list[tuple[View, float]]:
    """The views that score best for sharpness, contrast and calm, apart from each other; scores in 0..1."""
    sharpest = max(view.sharpness for view in views) or 1.0
    liveliest = max(view.change for view in views) or 1.0

    def score(view: View) -> float:
        calm = 1 - view.change / liveliest
        return 0.5 * view.sharpness / sharpest + 0.35 * min(1.0, view.contrast / 0.25) + 0.15 * calm

    apart_s = _APART_SHARE * (views[-1].time_s - views[0].time_s)
    chosen: list[tuple[View, float]] = []
    for view in sorted(views, key=lambda each: (-score(each), each.time_s)):
        if len(chosen) < count and all(abs(view.time_s - other.time_s) >= apart_s for other, _ in chosen):
            chosen.append((view, score(view)))
    return chosen


def _still(task: EffectTask, source: Source, time_s: float, number: int) -> Path:
    return _publish([_picture_at(task, source, time_s)], task.outputs(number, ".jpg", None))


def _moving(task: EffectTask, source: Source, time_s: float) -> Path:
    length_s = source.media.video[0].duration_s or source.media.duration_s or _MOVING_S
    start_s = max(0.0, min(time_s, length_s - _MOVING_S))
    span_s = min(_MOVING_S, length_s)
    times = [start_s + span_s * at / _MOVING_FRAMES for at in range(_MOVING_FRAMES)]
    pictures = [_picture_at(task, source, each, _MOVING_WIDTH_PX) for each in times]
    return _publish(pictures, task.outputs(1, ".gif", None), duration_ms=round(1000 * span_s / _MOVING_FRAMES))


def _picture_at(task: EffectTask, source: Source, time_s: float, width_px: int | None = None) -> Image.Image:
    task.heed()
    with open_input(task.source, limits=task.media_limits) as container, media_errors(task.source):
        return picture_of(frame_at(container, task.source, time_s), source.media.video[0], width_px)


def cartoonize(task: EffectTask) -> EffectResult:
    """Flat colours and dark outlines by filters; nothing is recognised, so faces are not drawn anew."""
    read_params(task, StyleParams)
    picture = _opened(task)
    flat = picture
    for _ in range(3):
        flat = flat.filter(ImageFilter.MedianFilter(5))
    levels = np.asarray(flat, np.float32) / 255
    levels = (np.round(levels * (_LEVELS - 1)) / (_LEVELS - 1)) ** 0.9
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1)), np.float32) / 255
    down, right = np.gradient(grey)
    lines = np.clip(np.hypot(down, right) * 4 / _EDGE - 1, 0, 1)[..., None]
    drawn = Image.fromarray((255 * levels * (1 - 0.85 * lines)).round().astype(np.uint8))
    return EffectResult((_publish([drawn], task.outputs(1, task.source.suffix or ".png", None)),))


def reframe_picture(task: EffectTask) -> EffectResult:
    """Portrait 9:16 out of a landscape picture: the window that holds most of its edges."""
    read_params(task, NoParams)
    picture = _opened(task)
    width, height = picture.size
    if width * 16 <= height * 9:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} is no wider than 9:16; there is nothing to crop")
    share = _PORTRAIT * height / width
    grey = np.asarray(picture.convert("L"), np.float32) / 255
    left = round(window_at(np.abs(np.gradient(grey, axis=1)).mean(axis=0), share) * width)
    cut = picture.crop((left, 0, left + round(share * width), height))
    return EffectResult((_publish([cut], task.outputs(1, task.source.suffix or ".png", None)),))


def _opened(task: EffectTask) -> Image.Image:
    """The source as RGB, upright.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED` when it is no picture, or a larger one than the limits allow.
    """
    kind = sniff(task.source, images=True)
    if not kind.is_image:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} is a video; a picture is needed")
    try:
        with Image.open(task.source) as opened:
            if opened.width * opened.height > task.media_limits.max_pixels:
                size = f"{opened.width}x{opened.height} pixels; at most {task.media_limits.max_pixels} are allowed"
                raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} has {size}")
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{task.source} cannot be decoded: {error}") from error


def _publish(pictures: Sequence[Image.Image], final: Path, *, duration_ms: int = 0) -> Path:
    if final.suffix.lower() == ".gif":
        # Left to itself Pillow cuts at the median of all colours, which took 1.6 s a picture of 320 x 192.
        pictures = [picture.quantize(method=Image.Quantize.FASTOCTREE) for picture in pictures]
    more: dict[str, Any] = (
        {"save_all": True, "append_images": pictures[1:], "duration": duration_ms, "loop": 0} if duration_ms else {}
    )
    with workplace(final) as folder:
        made = folder / f"out{final.suffix.lower() or '.png'}"
        try:
            with output_errors(final):
                pictures[0].save(made, quality=_QUALITY, **more)
        except ValueError as error:
            raise MediaError(ErrorCode.INVALID_SPEC, f"{final.name}: no picture format has this ending") from error
        publish_file(made, final)
    return final
