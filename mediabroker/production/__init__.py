"""Intelligent production functions with typed parameters and results: one class a function.

Each is a kind of its own, so that providers declare, and routes choose, function by function. Words and units are
ours; which provider calls what how is its own business. `params` of any leaf goes along beside its typed fields, under
the provider's names, for what its documents add or leave out; `SmartProduction` itself is the open form for functions
that have no leaf yet.
"""

from mediabroker.production.audio import (
    AudioBeatDetection,
    AudioMixing,
    AudioQualityAssessment,
    MusicSegmentDetect,
    SpeechDenoise,
)
from mediabroker.production.image import ImageCartoonize, ImageDelogo, ImageH2V, ImageMatting
from mediabroker.production.names import Box
from mediabroker.production.speech import Asr, AsyncTextToSpeech, TextToSpeech
from mediabroker.production.video import (
    CaptionExtraction,
    Cover,
    FaceBeauty,
    VideoClip,
    VideoDelogo,
    VideoDetext,
    VideoGreenScreenMatting,
    VideoH2V,
    VideoSplit,
)

__all__ = [
    "Asr",
    "AsyncTextToSpeech",
    "AudioBeatDetection",
    "AudioMixing",
    "AudioQualityAssessment",
    "Box",
    "CaptionExtraction",
    "Cover",
    "FaceBeauty",
    "ImageCartoonize",
    "ImageDelogo",
    "ImageH2V",
    "ImageMatting",
    "MusicSegmentDetect",
    "SpeechDenoise",
    "TextToSpeech",
    "VideoClip",
    "VideoDelogo",
    "VideoDetext",
    "VideoGreenScreenMatting",
    "VideoH2V",
    "VideoSplit",
]
