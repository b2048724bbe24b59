"""The settings of a transcode: what a template says, overridden by what the output says, within documented ranges.

Source: ApsaraVideo for Media Processing, SubmitJobs, "Output details", "Video details", "Audio details" (2021).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.jobs import Template
from mediabroker_alibaba.simulator.mps.presets import PRESETS, is_known_but_not_done
from mediabroker_alibaba.simulator.mps.refusals import invalid

__all__ = ["NOT_DONE", "check_settings", "nested", "read_settings"]

_PARTS = ("Container", "Video", "Audio", "TransConfig", "MuxConfig", "Clip")
_NOT_DONE = (
    "Amix",
    "DeWatermark",
    "Encryption",
    "MergeConfigUrl",
    "MergeList",
    "OpeningList",
    "SubtitleConfig",
    "SuperReso",
    "TailSlateList",
    "WaterMarks",
)
"""What an output may ask for and this simulator does not do; it says so instead of leaving it out."""
NOT_DONE = "TemplateNotSupported"
"""Set as a part of the settings where the template is the vendor's and cannot be done here: the job fails."""

_DONE: Mapping[str, frozenset[str]] = {
    "Container": frozenset({"Format"}),
    "Video": frozenset({"Bitrate", "Bufsize", "Codec", "Crf", "Fps", "Gop", "Height", "Maxrate", "PixFmt"})
    | {"Preset", "Profile", "Remove", "Rotate", "Width"},
    "Audio": frozenset({"Bitrate", "Channels", "Codec", "Profile", "Remove", "Samplerate"}),
    "TransConfig": frozenset({"AdjDarMethod", "IsCheckReso", "TransMode"}),
    "MuxConfig": frozenset({"Segment"}),
    "Clip": frozenset({"TimeSpan"}),
}
"""What is done of each part; the rest is refused unless it says "false", which changes nothing."""
_ONLY: Mapping[tuple[str, str], frozenset[str]] = {
    ("Audio", "Profile"): frozenset({"aac_low"}),
    ("TransConfig", "AdjDarMethod"): frozenset({"none", "rescale"}),
    ("TransConfig", "TransMode"): frozenset({"onepass"}),
    ("Video", "Rotate"): frozenset({"0", "90", "180", "270"}),
}
_FORMATS = frozenset({"mp4", "flv", "m3u8", "ts", "mp3", "ogg", "flac", "m4a", "gif", "webp"})
_VIDEO_CODECS = frozenset({"H.264", "H.265", "GIF", "WEBP", "copy"})
_AUDIO_CODECS = frozenset({"AAC", "MP3", "VORBIS", "FLAC", "copy"})
_RATES = frozenset({"22050", "32000", "44100", "48000", "96000"})
_RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("Video", "Bitrate"): (10, 50_000),
    ("Video", "Crf"): (0, 51),
    ("Video", "Width"): (128, 4096),
    ("Video", "Height"): (128, 4096),
    ("Video", "Fps"): (0.001, 60),
    ("Video", "Bufsize"): (1000, 128_000),
    ("Video", "Maxrate"): (10, 50_000),
    ("Audio", "Bitrate"): (8, 1000),
    ("Audio", "Channels"): (1, 8),
}


def read_settings(output: Mapping[str, Json], templates: Mapping[str, Template]) -> Template:
    """What to make, of one entry of `Outputs`.

    Args:
        templates: the account's own, by id.

    Raises:
        RpcError: no such template, a value out of range, or something that is not simulated.
    """
    for name in _NOT_DONE:
        if output.get(name):
            raise invalid(name, "NotSupported")
    template_id = output.get("TemplateId")
    if not isinstance(template_id, str) or not template_id:
        raise invalid("TemplateId", "NullValue")
    if is_known_but_not_done(template_id):
        return {NOT_DONE: {"TemplateId": template_id}}
    template = templates.get(template_id) or PRESETS.get(template_id)
    if template is None:
        raise invalid(template_id, "TemplateNotFound")
    settings = {part: {**template.get(part, {}), **_part(output, part)} for part in _PARTS}
    if output.get("Rotate"):
        settings["Video"]["Rotate"] = str(output["Rotate"])
    check_settings(settings)
    return {part: values for part, values in settings.items() if values}


def check_settings(settings: Template) -> None:
    """Refuse values that the documentation does not allow.

    Raises:
        RpcError: the first of them.
    """
    video, audio = settings.get("Video", {}), settings.get("Audio", {})
    form = settings.get("Container", {}).get("Format", "mp4")
    for name, value, known in (
        ("Container.Format", form, _FORMATS),
        ("Video.Codec", video.get("Codec", "H.264"), _VIDEO_CODECS),
        ("Audio.Codec", audio.get("Codec", "AAC"), _AUDIO_CODECS),
        ("Audio.Samplerate", audio.get("Samplerate", "44100"), _RATES),
    ):
        if value not in known:
            raise invalid(name)
    for (part, name), (least, most) in _RANGES.items():
        _check_range(f"{part}.{name}", settings.get(part, {}).get(name), least, most)
    picture = {"gif": "GIF", "webp": "WEBP"}.get(form)
    if (picture and video.get("Codec") != picture) or (form == "flv" and video.get("Codec") == "H.265"):
        raise invalid("Video.Codec", "NotSupported")
    for part, values in settings.items():
        for name, value in values.items():
            only = _ONLY.get((part, name))
            if (name not in _DONE[part] and value != "false") or (only is not None and value not in only):
                raise invalid(f"{part}.{name}", "NotSupported")
    if set(nested(settings.get("Clip", {}).get("TimeSpan"))) - {"Seek", "Duration"}:
        raise invalid("Clip.TimeSpan", "NotSupported")


def nested(text: str | None) -> Mapping[str, Json]:
    """What a value that is JSON text holds; nothing where it is none."""
    try:
        content = json.loads(text or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _check_range(name: str, value: str | None, least: float, most: float) -> None:
    if value in (None, ""):
        return
    try:
        number = float(str(value))
    except ValueError:
        raise invalid(name, "NumberFormatInvalid") from None
    if not least <= number <= most:
        raise invalid(name, "OutOfRange")


def _part(output: Mapping[str, Json], part: str) -> dict[str, str]:
    """One part, given as an object or as its JSON text; empty values change nothing."""
    given = output.get(part)
    if isinstance(given, str) and given:
        try:
            given = json.loads(given)
        except ValueError:
            raise invalid(part, "JsonObjectFormatInvalid") from None
    if given in (None, ""):
        return {}
    if not isinstance(given, Mapping):
        raise invalid(part, "JsonObjectFormatInvalid")
    return {
        name: each if isinstance(each, str) else json.dumps(each)
        for name, each in given.items()
        if each not in (None, "")
    }
