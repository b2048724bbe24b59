"""Effects on sound: hum and hiss taken out, another track mixed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ffmpeg

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.arguments import compile_outputs, input_of
from mediabroker.media.effects.listening import listen, noise_floor_db
from mediabroker.media.effects.params import MixParams, NoParams
from mediabroker.media.effects.task import EffectResult, EffectTask, read_params
from mediabroker.media.probe import Source, examine
from mediabroker.media.publish import publish_file, workplace

__all__ = ["denoise", "mix"]

_RUMBLE_HZ = 80
_REDUCTION_DB = 20
_FLOOR_DB = (-80.0, -20.0)
"""What `afftdn` takes. Source: FFmpeg filters documentation, afftdn, noise_floor."""
_MIXED_VOLUME = 0.5

_CODECS: Mapping[str, Mapping[str, Any]] = {
    ".wav": {"f": "wav", "c:a": "pcm_s16le"},
    ".mp3": {"f": "mp3", "c:a": "libmp3lame", "b:a": "192k"},
    ".m4a": {"f": "ipod", "c:a": "aac", "b:a": "160k"},
    ".mp4": {"f": "mp4", "c:a": "aac", "b:a": "160k", "movflags": "+faststart"},
    ".mkv": {"f": "matroska", "c:a": "aac", "b:a": "160k"},
}


def denoise(task: EffectTask) -> EffectResult:
    """Lower steady noise (ffmpeg's `afftdn` at the noise floor that is heard) and cut rumble; a picture stays."""
    read_params(task, NoParams)
    source = _with_sound(task, task.source)
    stream = input_of(source, task.media_limits)
    floor_db = min(max(noise_floor_db(listen(task)), _FLOOR_DB[0]), _FLOOR_DB[1])
    sound = stream[str(source.media.audio[0].index)].filter("highpass", _RUMBLE_HZ)
    sound = sound.filter("afftdn", nf=round(floor_db, 1), nr=_REDUCTION_DB)
    return _written(task, source, sound, _pictures(source, stream))


def mix(task: EffectTask) -> EffectResult:
    """Lay another track under the sound, at half its loudness and as long as the source; a picture stays as it is."""
    given = read_params(task, MixParams).inputs[0]
    source, other = examine(task.source, limits=task.media_limits), _with_sound(task, task.fetch(given.file))
    stream, added = input_of(source, task.media_limits), input_of(other, task.media_limits)
    under = added[str(other.media.audio[0].index)].filter("volume", _MIXED_VOLUME)
    if source.media.audio:
        own = stream[str(source.media.audio[0].index)]
        sound = ffmpeg.filter([own, under], "amix", inputs=2, duration="first", normalize=0)
    else:
        sound = under
    return _written(task, source, sound, _pictures(source, stream))


def _with_sound(task: EffectTask, path: Path) -> Source:
    source = examine(path, limits=task.media_limits)
    if not source.media.audio:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds no sound")
    return source


def _pictures(source: Source, stream: Any) -> list[Any]:
    return [stream[str(each.index)] for each in source.media.video[:1]]


def _written(task: EffectTask, source: Source, sound: Any, pictures: Sequence[Any]) -> EffectResult:
    output = task.outputs(1, ".mp4" if pictures else ".m4a", None)
    codecs = _CODECS.get(output.suffix.lower())
    if codecs is None:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{output.name} must end in one of {', '.join(_CODECS)}")
    kept = {"c:v": "copy"} if pictures and output.suffix.lower() in (".mp4", ".mkv") else {}
    length_s = source.media.duration_s
    with workplace(output) as folder:
        made = folder / f"out{output.suffix.lower()}"
        streams = [*(pictures if kept else ()), sound]
        limit = {"t": length_s} if length_s else {}
        arguments = compile_outputs(ffmpeg.output(*streams, made.name, **codecs, **kept, **limit))
        task.run(arguments, folder, length_s)
        publish_file(made, output)
    return EffectResult((output,))
