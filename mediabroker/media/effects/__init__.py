"""Smart production without a vendor: the functions that ffmpeg, filters and arithmetic can do honestly.

They bear the names that Alibaba Cloud gives them and take its parameters. What needs a trained model (reading text,
matting people, judging recordings) is not among them. Source: Alibaba Cloud, ApsaraVideo Media Processing,
"SubmitIProductionJob".
"""

from __future__ import annotations

from collections.abc import Mapping

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.effects.footage import clip, matte, reframe, remove_logos, remove_text
from mediabroker.media.effects.listening import detect_beats, detect_sections
from mediabroker.media.effects.sound import denoise, mix
from mediabroker.media.effects.stills import cartoonize, cover, reframe_picture
from mediabroker.media.effects.task import Effect, EffectResult, EffectTask, OutputNamer, local_file

__all__ = ["EFFECTS", "Effect", "EffectResult", "EffectTask", "OutputNamer", "local_file", "run_effect"]

EFFECTS: Mapping[str, Effect] = {
    "AudioBeatDetection": detect_beats,
    "AudioMixing": mix,
    "Cover": cover,
    "ImageCartoonize": cartoonize,
    "ImageH2V": reframe_picture,
    "MusicSegmentDetect": detect_sections,
    "SpeechDenoise": denoise,
    "VideoClip": clip,
    "VideoDelogo": remove_logos,
    "VideoDetext": remove_text,
    "VideoGreenScreenMatting": matte,
    "VideoH2V": reframe,
}
"""What can be done here, by the vendor's name of the function."""


def run_effect(function: str, task: EffectTask) -> EffectResult:
    """Do one function; its files are published whole, or not at all.

    Raises:
        MediaError: `UNSUPPORTED` for a function that is not in `EFFECTS`, `INVALID_SPEC` for its parameters, and all
            that reading and writing media can come to.
        ConfigurationError: no usable ffmpeg.
    """
    effect = EFFECTS.get(function)
    if effect is None:
        known = ", ".join(EFFECTS)
        raise MediaError(ErrorCode.UNSUPPORTED, f"{function!r} needs a vendor's model; without one there are {known}")
    return effect(task)
