"""Speech to text and back: old functions of MPS, listed in 2021 and missing from the vendor's present list.

They are sent all the same; whether they are still accepted is the vendor's answer to give.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mediabroker.jobs import SmartProduction
from mediabroker.production.names import OutputName
from mediabroker.results import JobResult, SpeechResult

__all__ = ["Asr", "AsyncTextToSpeech", "TextToSpeech"]

_DAY_S = 86_400


class Asr(SmartProduction[JobResult], frozen=True, defer_build=True):
    """Speech to text, in a text file.

    Args:
        start_s: where to begin, in whole seconds.
        duration_s: how much to read; None: to the end.
        first_channel_only: leave out the other channels; None: as the provider does by itself. Likewise `word_level`,
            which asks for the time of every word.
    """

    kind: Literal["asr"] = "asr"
    function: Literal["asr"] = "asr"
    output: OutputName = Field()
    start_s: int | None = Field(default=None, ge=0, lt=_DAY_S)
    duration_s: int | None = Field(default=None, ge=1, lt=_DAY_S)
    first_channel_only: bool | None = None
    word_level: bool | None = None


class AsyncTextToSpeech(SmartProduction[JobResult], frozen=True, defer_build=True):
    """Text to speech, with the times of the words in a second file; so the name must end in `.{resultType}`.

    Args:
        volume_percent: 0 to 100.
        speech_rate: -500 to 500, 0 is normal; likewise `pitch_rate`.
    """

    kind: Literal["async_text_to_speech"] = "async_text_to_speech"
    function: Literal["async_text_to_speech"] = "async_text_to_speech"
    output: OutputName = Field()
    voice: str = "xiaoyun"
    format: Literal["pcm", "wav", "mp3"] = "pcm"
    sample_rate_hz: int = Field(default=16_000, ge=8_000, le=48_000)
    volume_percent: int = Field(default=50, ge=0, le=100)
    speech_rate: int = Field(default=0, ge=-500, le=500)
    pitch_rate: int = Field(default=0, ge=-500, le=500)

    @model_validator(mode="after")
    def _two_files(self) -> Self:
        if not self.output.key.endswith(".{resultType}"):
            raise ValueError(f"output: {self.output.name!r} must end in .{{resultType}}: there are two files")
        return self


class TextToSpeech(SmartProduction[SpeechResult], frozen=True, defer_build=True):
    """Text to speech, answered at once. Parameters as in `AsyncTextToSpeech`, which is the one to use.

    No provider of this distribution runs it: a result is what a vendor's job tells when it is asked for, and here the
    audio is in the answer to the submit alone.
    """

    kind: Literal["text_to_speech"] = "text_to_speech"
    function: Literal["text_to_speech"] = "text_to_speech"
    voice: str = "xiaoyun"
    format: Literal["pcm", "wav", "mp3"] = "pcm"
    sample_rate_hz: int = Field(default=16_000, ge=8_000, le=48_000)
    volume_percent: int = Field(default=50, ge=0, le=100)
    speech_rate: int = Field(default=0, ge=-500, le=500)
    pitch_rate: int = Field(default=0, ge=-500, le=500)
