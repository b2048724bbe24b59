"""Effects that give back a video: logos painted over, a green screen replaced, portrait framing, a summary."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.arguments import Alter, TranscodeSettings, compile_outputs, input_of
from mediabroker.media.effects.looking import View, look, seen_video, shape, upright_size, window_at
from mediabroker.media.effects.params import BackgroundParams, Box, LogoParams, NoParams, TextParams
from mediabroker.media.effects.task import EffectResult, EffectTask, read_params
from mediabroker.media.ffmpeg.process import build_input_options
from mediabroker.media.probe import Source
from mediabroker.media.publish import publish_file, workplace
from mediabroker.media.snapshot import frame_at, picture_of
from mediabroker.media.sniff import sniff
from mediabroker.media.source import open_input
from mediabroker.media.transcode import transcode

__all__ = ["clip", "matte", "reframe", "remove_logos", "remove_text"]

_PORTRAIT = 9 / 16
_SUMMARY_SHARE, _SUMMARY_LIMIT_S, _PIECE_S = 0.3, 15.0, 3.0
_KEY_SIMILARITY, _KEY_BLEND = 0.18, 0.08
_GREEN_LEAD = 0.08
"""How much more green than red and blue a border must hold, as a share of full scale, to count as a green screen."""


def remove_logos(task: EffectTask) -> EffectResult:
    """Fill the boxes from their surroundings (ffmpeg's `delogo`)."""
    return _fill(task, read_params(task, LogoParams).Logo)


def remove_text(task: EffectTask) -> EffectResult:
    """As `remove_logos`; the boxes must be given, as text is not found by itself."""
    return _fill(task, read_params(task, TextParams).Text)


def _fill(task: EffectTask, boxes: Sequence[Box]) -> EffectResult:
    width, height = upright_size(seen_video(task))

    def alter(picture: Any) -> Any:
        for box in boxes:
            picture = picture.filter("delogo", **_pixels(box, width, height))
        return picture

    return _altered(task, alter)


def _pixels(box: Box, width: int, height: int) -> dict[str, int]:
    """The box in samples, with a line to spare on each side, as `delogo` reads what lies around it."""
    left, top = max(1, round(box[0] * width)), max(1, round(box[1] * height))
    w = min(round(box[2] * width), width - 1 - left)
    h = min(round(box[3] * height), height - 1 - top)
    if w < 1 or h < 1:
        raise MediaError(ErrorCode.INVALID_SPEC, f"the box {list(box)} leaves nothing of a {width}x{height} picture")
    return {"x": left, "y": top, "w": w, "h": h}


def reframe(task: EffectTask) -> EffectResult:
    """Portrait 9:16 out of a landscape: the one upright window that holds most of the edges and of the motion."""
    read_params(task, NoParams)
    source = seen_video(task)
    if shape(source) <= _PORTRAIT:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} is no wider than 9:16; there is nothing to crop")
    share = _PORTRAIT / shape(source)
    left = window_at(_interest(look(task, source)), share)
    width = upright_size(source)[0]
    x, w = round(left * width), max(2, round(share * width))
    return _altered(task, lambda picture: picture.filter("crop", w, "ih", min(x, width - w), 0))


def _interest(views: Sequence[View]) -> Any:
    """How much there is to see in each column: edges, and what changes between views."""
    edges = np.mean([np.abs(np.gradient(each.grey, axis=1)).mean(axis=0) for each in views], axis=0)
    pairs = itertools.pairwise(views)
    motion = [np.abs(later.grey - earlier.grey).mean(axis=0) for earlier, later in pairs]
    return edges + (np.mean(motion, axis=0) if motion else 0)


def matte(task: EffectTask) -> EffectResult:
    """Take the green out: over a background picture as mp4, or as WebM with an alpha channel.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED` when the borders of the picture are not green.
    """
    given = read_params(task, BackgroundParams)
    source = seen_video(task)
    key = _green_of(task, source)
    if given.bgimage is None:
        return _keyed_webm(task, source, key)
    background = task.fetch(given.bgimage)
    kind = sniff(background, images=True)
    width, height = upright_size(source)

    def alter(picture: Any) -> Any:
        options = build_input_options(kind.demuxer, task.media_limits)
        behind = ffmpeg.input(f"file:{background.absolute()}", **options)
        behind = behind.filter("scale", width, height, force_original_aspect_ratio="increase")
        behind = behind.filter("crop", width, height)
        return behind.overlay(_keyed(picture, key), eof_action="repeat", format="auto")

    return _altered(task, alter)


def _green_of(task: EffectTask, source: Source) -> str:
    """The colour of the screen as ffmpeg writes it, from the borders of the first picture."""
    with open_input(task.source, limits=task.media_limits) as container:
        picture = np.asarray(picture_of(frame_at(container, task.source, 0.0), source.media.video[0]), np.float32)
    band = max(1, min(picture.shape[:2]) // 16)
    border = np.concatenate([picture[:band].reshape(-1, 3), picture[:, :band].reshape(-1, 3)])
    red, green, blue = (float(value) for value in np.median(border, axis=0))
    if green - max(red, blue) < _GREEN_LEAD * 255:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} shows no green screen at its borders")
    return f"0x{round(red):02x}{round(green):02x}{round(blue):02x}"


def _keyed(picture: Any, key: str) -> Any:
    return picture.filter("chromakey", key, _KEY_SIMILARITY, _KEY_BLEND).filter("despill", "green")


def _keyed_webm(task: EffectTask, source: Source, key: str) -> EffectResult:
    stream = input_of(source, task.media_limits)
    picture = _keyed(stream[str(source.media.video[0].index)], key).filter("format", "yuva420p")
    audio = [stream[str(each.index)] for each in source.media.audio[:1]]
    options = {"c:v": "libvpx-vp9", "crf": 24, "b:v": 0, "deadline": "realtime", "cpu-used": 6, "auto-alt-ref": 0}
    sound = {"c:a": "libopus"} if audio else {}
    return _made(
        task,
        ".webm",
        source.media.duration_s,
        lambda name: ffmpeg.output(picture, *audio, name, f="webm", **options, **sound),
    )


def clip(task: EffectTask) -> EffectResult:
    """A summary: the pieces in which most happens, in their own order, at most a third of the video and 15 seconds."""
    read_params(task, NoParams)
    source = seen_video(task)
    pieces = choose_pieces(look(task, source), source.media.video[0].duration_s or source.media.duration_s or 0.0)
    stream, audio = input_of(source, task.media_limits), source.media.audio[:1]

    def cut(start_s: float, end_s: float) -> list[Any]:
        picture = stream[str(source.media.video[0].index)].filter("trim", start=start_s, end=end_s)
        sounds = [stream[str(each.index)].filter("atrim", start=start_s, end=end_s) for each in audio]
        return [
            picture.filter("setpts", "PTS-STARTPTS"),
            *(sound.filter("asetpts", "PTS-STARTPTS") for sound in sounds),
        ]

    parts = [part for piece in pieces for part in cut(*piece)]
    joined = ffmpeg.concat(*parts, n=len(pieces), v=1, a=len(audio)).node
    streams = [joined[index] for index in range(1 + len(audio))]
    options = {"c:v": "libx264", "crf": 21, "preset": "veryfast", "pix_fmt": "yuv420p", "movflags": "+faststart"}
    total_s = sum(end - start for start, end in pieces)
    made = _made(task, ".mp4", total_s, lambda name: ffmpeg.output(*streams, name, f="mp4", **options))
    return EffectResult(made.files, [{"start_s": round(start, 3), "end_s": round(end, 3)} for start, end in pieces])


def choose_pieces(views: Sequence[View], length_s: float) -> list[tuple[float, float]]:
    """Start and end of the liveliest pieces that fit, in seconds, in order, not overlapping."""
    count = max(1, math.floor(min(_SUMMARY_SHARE * length_s, _SUMMARY_LIMIT_S) / _PIECE_S))
    piece_s = min(_PIECE_S, _SUMMARY_SHARE * length_s) if length_s else _PIECE_S
    slots: dict[int, float] = {}
    for view in views:
        slot = int(view.time_s / piece_s) if piece_s else 0
        slots[slot] = slots.get(slot, 0.0) + view.change
    chosen = sorted(sorted(slots, key=lambda slot: -slots[slot])[:count])
    return [(slot * piece_s, (slot + 1) * piece_s) for slot in chosen]


def _altered(task: EffectTask, alter: Alter) -> EffectResult:
    """The whole video through filters, with its sound, times and tags, as mp4."""
    output = task.outputs(1, ".mp4", None)
    transcode(
        task.source,
        output,
        TranscodeSettings(),
        alter=alter,
        on_progress=task.on_progress,
        cancel=task.stop,
        ffmpeg=task.ffmpeg,
        limits=task.limits,
        media_limits=task.media_limits,
    )
    return EffectResult((output,))


def _made(task: EffectTask, suffix: str, length_s: float | None, build: Callable[[str], Any]) -> EffectResult:
    """One file of ffmpeg's, published whole."""
    output = task.outputs(1, suffix, None)
    with workplace(output) as folder:
        made: Path = folder / f"out{suffix}"
        task.run(compile_outputs(build(made.name)), folder, length_s)
        publish_file(made, output)
    return EffectResult((output,))
