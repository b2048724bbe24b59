"""Functions on sound. Source: Alibaba Cloud MPS, "SubmitIProductionJob"; "unverified" as in `production.video`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mediabroker.jobs import GivenURI, SmartProduction
from mediabroker.production.names import OutputName
from mediabroker.results import JobResult, ProductionResult, SegmentsResult, VideoResult

__all__ = ["AudioBeatDetection", "AudioMixing", "AudioQualityAssessment", "MusicSegmentDetect", "SpeechDenoise"]


class MusicSegmentDetect(SmartProduction[SegmentsResult], frozen=True, defer_build=True):
    """Where the choruses of a song are; there is no output file."""

    kind: Literal["music_segment_detect"] = "music_segment_detect"
    function: Literal["music_segment_detect"] = "music_segment_detect"


class AudioBeatDetection(SmartProduction[JobResult], frozen=True, defer_build=True):
    """Beats and down-beats of a piece of music, in a text file. The file's inner form is unverified."""

    kind: Literal["audio_beat_detection"] = "audio_beat_detection"
    function: Literal["audio_beat_detection"] = "audio_beat_detection"
    output: OutputName = Field()


class AudioMixing(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Mix one more track into the sound of the input."""

    kind: Literal["audio_mixing"] = "audio_mixing"
    function: Literal["audio_mixing"] = "audio_mixing"
    output: OutputName = Field()
    track: GivenURI
    """What is mixed in, in the same store and region as the input."""


class AudioQualityAssessment(SmartProduction[ProductionResult], frozen=True, defer_build=True):
    """How good speech sounds. The input is WAV, 16 bit, mono or stereo, 8,000 to 48,000 Hz.

    Parameters, result and whether a file is written are unverified: `params` go along as they are, `data` holds the
    provider's answer.
    """

    kind: Literal["audio_quality_assessment"] = "audio_quality_assessment"
    function: Literal["audio_quality_assessment"] = "audio_quality_assessment"


class SpeechDenoise(SmartProduction[JobResult], frozen=True, defer_build=True):
    """Take the noise out of speech. Its parameters are unverified: give them in `params`."""

    kind: Literal["speech_denoise"] = "speech_denoise"
    function: Literal["speech_denoise"] = "speech_denoise"
    output: OutputName = Field()
