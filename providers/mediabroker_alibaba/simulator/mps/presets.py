"""The vendor's own transcode templates, as far as their settings are documented.

Source: ApsaraVideo for Media Processing, "Preset template details" (2021). Audio of the video templates is given here
with the documented default of an `Audio` part: AAC, 128 kbit/s, 44.1 kHz.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediabroker_alibaba.simulator.mps.jobs import Template

__all__ = ["PRESETS", "is_known_but_not_done"]

_STEPS = {
    "10": (640, 400),
    "20": (848, 800),
    "30": (1280, 1800),
    "40": (1920, 3000),
    "60": (2048, 3500),
    "70": (3840, 6000),
}
"""Last digits of the id to width in pixels and video bitrate in kbit/s: LD, SD, HD, FHD, 2K, 4K."""
_FORMATS = {"0000": "flv", "1000": "m3u8", "2000": "mp4"}
_MP3_KBPS = {"10": 64, "20": 128, "30": 160, "40": 192, "50": 320}
_AUDIO = {"Codec": "AAC", "Bitrate": "128", "Samplerate": "44100", "Channels": "2"}


def _video(form: str, width_px: int, bitrate_kbps: int) -> Template:
    return {
        "Container": {"Format": form},
        "Video": {"Codec": "H.264", "Width": str(width_px), "Bitrate": str(bitrate_kbps)},
        "Audio": _AUDIO,
    }


def _copy(form: str) -> Template:
    return {"Container": {"Format": form}, "Video": {"Codec": "copy"}, "Audio": {"Codec": "copy"}}


def _mp3(bitrate_kbps: int) -> Template:
    audio = {"Codec": "MP3", "Bitrate": str(bitrate_kbps), "Samplerate": "44100", "Channels": "2"}
    return {"Container": {"Format": "mp3"}, "Video": {"Remove": "true"}, "Audio": audio}


PRESETS: Mapping[str, Template] = {
    **{
        f"S00000001-{kind}{step}": _video(form, *size)
        for kind, form in _FORMATS.items()
        for step, size in _STEPS.items()
    },
    **{f"S00000001-{kind}00": _copy(form) for kind, form in _FORMATS.items()},
    **{f"S00000001-3000{step}": _mp3(bitrate_kbps) for step, bitrate_kbps in _MP3_KBPS.items()},
}

_FAMILIES = re.compile(r"S00000000-\d{6}|S0000000[23]-\d{6}|S00000001-4000[47]0")


def is_known_but_not_done(template_id: str) -> bool:
    """Templates that need the vendor's models: smart presets, narrowband HD, resolution doubling. Their jobs fail."""
    return _FAMILIES.fullmatch(template_id) is not None
