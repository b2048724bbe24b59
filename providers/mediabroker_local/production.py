"""Smart production on this machine: typed jobs become effects, and what the effects find becomes typed results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, MediaError, UnsupportedError
from mediabroker.jobs import JobSpec, SmartProduction
from mediabroker.production.names import Box, placeholders
from mediabroker.refs import MediaURI

__all__ = ["KINDS", "Namer", "build_params", "check_production", "function_of"]


class _Way(NamedTuple):
    """How a kind is done here: the effect's name, its parameters, and the media named beside the input."""

    function: str
    params: Callable[[Any], dict[str, JsonValue]] = lambda _: {}
    media: Callable[[Any], Sequence[tuple[str, MediaURI | None]]] = lambda _: ()


_OPEN = "smart_production"

_WAYS: Mapping[str, _Way] = {
    "audio_beat_detection": _Way("AudioBeatDetection"),
    "audio_mixing": _Way(
        "AudioMixing",
        lambda spec: {"inputs": [{"file": str(spec.track.path)}]},
        lambda spec: [("track", spec.track)],
    ),
    "cover": _Way("Cover", lambda spec: {"Model": "gif"} if spec.animated else {}),
    "image_cartoonize": _Way("ImageCartoonize"),
    "image_h2v": _Way("ImageH2V"),
    "music_segment_detect": _Way("MusicSegmentDetect"),
    "speech_denoise": _Way("SpeechDenoise"),
    "video_clip": _Way("VideoClip"),
    "video_delogo": _Way("VideoDelogo", lambda spec: {"Logo": _shares(spec.boxes)}),
    "video_detext": _Way("VideoDetext", lambda spec: {"Text": _shares(spec.boxes)}),
    "video_green_screen_matting": _Way(
        "VideoGreenScreenMatting",
        lambda spec: {"bgimage": str(spec.background.path)} if spec.background else {},
        lambda spec: [("background", spec.background)],
    ),
    "video_h2v": _Way("VideoH2V"),
}

KINDS = (_OPEN, *_WAYS)
"""The kinds that an effect stands behind, and the open form for the same functions."""

_WITHOUT_FILE = frozenset({"MusicSegmentDetect"})


def function_of(spec: SmartProduction[Any]) -> str:
    """The effect's name."""
    return spec.function if spec.kind == _OPEN else _WAYS[spec.kind].function


def build_params(spec: SmartProduction[Any]) -> dict[str, JsonValue]:
    """The effect's parameters: those of the typed fields, and what goes along beside them."""
    typed = {} if spec.kind == _OPEN else _WAYS[spec.kind].params(spec)
    return {**typed, **spec.params}


def check_production(name: str, spec: JobSpec[Any]) -> None:
    """Refuse what no effect here can do.

    Raises:
        UnsupportedError: names the field, its value and what would do.
    """
    if not isinstance(spec, SmartProduction):
        return
    function = function_of(spec)
    known = sorted(way.function for way in _WAYS.values())
    if function not in known:
        raise UnsupportedError(f"function: {name} cannot do {function!r}; it does {', '.join(known)}")
    if getattr(spec, "boxes", None) == ():
        raise UnsupportedError(f"boxes: {name} does not find them by itself; say where they are")
    for field, uri in _WAYS[spec.kind].media(spec) if spec.kind != _OPEN else ():
        if uri is not None and uri.scheme != "file":
            raise UnsupportedError(f"{field}: {name} does not read {uri.scheme}:// ({uri})")
    _check_output(name, spec, function)


def _check_output(name: str, spec: SmartProduction[Any], function: str) -> None:
    if function in _WITHOUT_FILE:
        if spec.output is not None:
            raise UnsupportedError(f"output: {function} writes no file; leave {spec.output} out")
        return
    if spec.output is None:
        raise UnsupportedError(f"output: {function} writes a file; say where")
    if inside := placeholders(MediaURI(spec.output.path.parent / "x")):
        raise UnsupportedError(f"output: {name} fills in names, not folders; {{{inside[0]}}} stands in a folder's name")


def _shares(boxes: Sequence[Box]) -> list[JsonValue]:
    return [[box.x, box.y, box.width, box.height] for box in boxes]


class Namer:
    """Names the results in the folder where they are made, by the name that was asked for with its placeholders."""

    def __init__(self, folder: Path, asked: str, source: Path) -> None:
        self._folder, self._asked = folder, asked
        self._values = {"{source}": source.stem, "{timestamp}": str(int(time.time()))}
        self._given: set[str] = set()

    def __call__(self, sequence_id: int, suffix: str, result_type: str | None = None, /) -> Path:  # noqa: ARG002
        name = self._asked
        values = {**self._values, "{sequenceId}": str(sequence_id), "{resultType}": result_type or ""}
        for placeholder, value in values.items():
            name = name.replace(placeholder, value)
        if name in self._given:
            raise MediaError(
                ErrorCode.INVALID_SPEC, f"output: there are several files; {self._asked!r} needs {{sequenceId}}"
            )
        self._given.add(name)
        return self._folder / name
