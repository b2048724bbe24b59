"""The catalogue of smart production as MPS has it: functions, parameters and limits, as data.

`FUNCTIONS` says for each leaf of `mediabroker.production` what the vendor calls it, how its fields become `JobParams`,
and what is known of it. Who offers the same functions elsewhere (the embedded provider, the simulator) reads it, too.

Source: Alibaba Cloud MPS, "SubmitIProductionJob", "QueryIProductionJob", and each function's page of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import JsonValue

from mediabroker import production
from mediabroker.jobs import SmartProduction
from mediabroker.production import Box
from mediabroker.refs import MediaURI
from mediabroker_alibaba.oss.names import build_url

__all__ = ["BY_KIND", "BY_NAME", "FUNCTIONS", "Function", "build_params"]

Encode: TypeAlias = Callable[[Any], JsonValue]


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        name: `FunctionName` on the wire.
        fields: of each field of the leaf, the parameter's name on the wire and how a value is written there.
        status: `current`; `queried`: only in the list of what QueryIProductionJob may answer; `old`: documented in 2021
            and missing from the present list.
        needs: placeholders of which the output's name must hold one, because there are several files.
        needs_with: the parameter that makes them several; empty: they always are.
        writes: it makes files at all.
        names_files: the answer names the files that were written; else a name with placeholders could not be found.
        limits: what is documented of its input and output.
        refused: why this provider does not run it; empty: it does.
        unverified: what no document at hand tells; the leaf lets it pass and the vendor decides.
    """

    leaf: type[SmartProduction[Any]]
    name: str
    fields: Mapping[str, tuple[str, Encode]]
    status: Literal["current", "queried", "old"] = "current"
    needs: tuple[str, ...] = ()
    needs_with: str = ""
    writes: bool = True
    names_files: bool = True
    limits: str = ""
    refused: str = ""
    unverified: str = ""

    @property
    def kind(self) -> str:
        """Ours."""
        return str(self.leaf.model_fields["kind"].default)

    def is_several(self, params: Mapping[str, JsonValue]) -> bool:
        """Whether these `JobParams` make more than one file."""
        if not self.needs_with:
            return bool(self.needs)
        asked = params.get(self.needs_with)
        return asked.lower() == "true" if isinstance(asked, str) else bool(asked)


def _as_is(value: Any) -> JsonValue:
    return str(value) if isinstance(value, str) else value


def _gif(animated: bool) -> JsonValue:
    return "gif" if animated else ""


def _boxes(boxes: tuple[Box, ...]) -> JsonValue:
    return [[box.x, box.y, box.width, box.height] for box in boxes]


def _region(box: Box) -> JsonValue:
    return [[box.y, box.y + box.height], [box.x, box.x + box.width]]


def _main(_: bool) -> JsonValue:
    return "main"


def _inputs(track: str) -> JsonValue:
    return [{"file": str(track)}]


def _clock(seconds: int) -> JsonValue:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


_SPEECH: Mapping[str, tuple[str, Encode]] = {
    "voice": ("voice", _as_is),
    "format": ("format", _as_is),
    "sample_rate_hz": ("sample_rate", _as_is),
    "volume_percent": ("volume", _as_is),
    "speech_rate": ("speech_rate", _as_is),
    "pitch_rate": ("pitch_rate", _as_is),
}
_PARAMETERS = "all parameters"

FUNCTIONS: tuple[Function, ...] = (
    Function(production.Cover, "Cover", {"animated": ("Model", _gif)}, needs=("sequenceId",)),
    Function(production.VideoClip, "VideoClip", {}),
    Function(
        production.VideoDelogo,
        "VideoDelogo",
        {"boxes": ("Logo", _boxes)},
        names_files=False,
        limits="at most 2 boxes",
        unverified="what it does without boxes; whether Logo is a list or its text",
    ),
    Function(
        production.VideoDetext,
        "VideoDetext",
        {"boxes": ("Text", _boxes)},
        names_files=False,
        limits="at most 2 boxes",
        unverified="what it does without boxes",
    ),
    Function(
        production.CaptionExtraction,
        "CaptionExtraction",
        {
            "frames_per_s": ("fps", _as_is),
            "region": ("roi", _region),
            "separate_languages": ("sep", _as_is),
            "style": ("formatter", _as_is),
            "main_track_only": ("track", _main),
        },
        needs=("resultType", "sequenceId"),
        needs_with="sep",
        limits="2 to 10 frames a second",
    ),
    Function(production.VideoGreenScreenMatting, "VideoGreenScreenMatting", {"background": ("bgimage", _as_is)}),
    Function(production.MusicSegmentDetect, "MusicSegmentDetect", {}, writes=False, limits="no output file"),
    Function(production.AudioBeatDetection, "AudioBeatDetection", {}, unverified="the inner form of the text file"),
    Function(production.AudioMixing, "AudioMixing", {"track": ("inputs", _inputs)}, limits="one more track"),
    Function(production.VideoH2V, "VideoH2V", {}, names_files=False),
    Function(production.ImageH2V, "ImageH2V", {}, names_files=False),
    Function(production.ImageDelogo, "ImageDelogo", {}, names_files=False),
    Function(production.ImageCartoonize, "ImageCartoonize", {}, unverified=f"{_PARAMETERS}; the result"),
    Function(
        production.AudioQualityAssessment,
        "AudioQualityAssessment",
        {},
        limits="input WAV, 16 bit, mono or stereo, 8,000 to 48,000 Hz",
        unverified=f"{_PARAMETERS}; the result; whether a file is written",
    ),
    Function(production.FaceBeauty, "FaceBeauty", {}, unverified=f"{_PARAMETERS}; the result"),
    Function(production.SpeechDenoise, "SpeechDenoise", {}, unverified=f"{_PARAMETERS}; the result"),
    Function(
        production.VideoSplit,
        "VideoSplit",
        {},
        writes=False,
    ),
    Function(production.ImageMatting, "ImageMatting", {}, status="old"),
    Function(
        production.Asr,
        "ASR",
        {"start_s": ("start_time", _clock), "duration_s": ("duration", _clock)},
        status="old",
    ),
    Function(
        production.AsyncTextToSpeech,
        "AsyncTextToSpeech",
        _SPEECH,
        status="old",
        needs=("resultType",),
        limits="the name ends in .{resultType}",
    ),
    Function(
        production.TextToSpeech,
        "TextToSpeech",
        _SPEECH,
        status="old",
        writes=False,
        refused="its audio is in the answer to the submit alone, and a job's result is what a query tells",
        unverified="what Input holds; whether it can be queried",
    ),
)

BY_KIND: Mapping[str, Function] = {each.kind: each for each in FUNCTIONS}
"""By our kind."""
BY_NAME: Mapping[str, Function] = {each.name: each for each in FUNCTIONS}
"""By the vendor's name."""


def build_params(spec: SmartProduction[Any], region: str) -> tuple[str, dict[str, JsonValue]]:
    """`FunctionName` and `JobParams` of a leaf or of the open form.

    Values that a leaf leaves as they are by default are not sent; what its `params` say is sent as it is. Objects are
    named in `region`.
    """
    function = BY_KIND.get(spec.kind)
    if function is None:
        return spec.function, dict(spec.params)
    defaults = type(spec).model_fields
    params: dict[str, JsonValue] = {
        wire: encode(_placed(value, region))
        for field, (wire, encode) in function.fields.items()
        if (value := getattr(spec, field)) != defaults[field].default
    }
    if isinstance(spec, production.Asr):
        params |= _asr_request(spec)
    return function.name, {**params, **spec.params}


def _placed(value: Any, region: str) -> Any:
    return build_url(value, region) if isinstance(value, MediaURI) and value.scheme == "oss" else value


def _asr_request(spec: production.Asr) -> dict[str, JsonValue]:
    """Two of its parameters are a query string inside a third."""
    asked = {
        "first_channel_only": spec.first_channel_only,
        "enable_word_level_result": spec.word_level,
    }
    text = "".join(f"&{name}={value}" for name, value in asked.items() if value is not None)
    return {"request_params": text} if text else {}
