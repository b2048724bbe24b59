"""One typed API for media jobs on every vendor.

from mediabroker import Broker, SuperResolution

with Broker() as broker:
    video = broker.run(SuperResolution(input="in.mp4", output="out.mp4", scale=2))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mediabroker.errors import (
    AuthenticationError,
    BrokerClosedError,
    ConfigurationError,
    ErrorCode,
    IdempotencyConflictError,
    InvalidJobError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    MediaBrokerError,
    MissingDependencyError,
    ProviderError,
    StoreError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)
from mediabroker.events import (
    JobAttemptFailed,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobQueued,
    JobStarted,
    JobSucceeded,
    Unrecognised,
)
from mediabroker.jobs import (
    JobSpec,
    MediaInfo,
    Rendition,
    SmartProduction,
    Snapshot,
    SuperResolution,
    Transcode,
    VideoEncoder,
)
from mediabroker.messages import InboundMessage
from mediabroker.redaction import RedactingFilter
from mediabroker.refs import JobRef, MediaURI
from mediabroker.results import (
    CaptionsResult,
    CoverResult,
    ImagesResult,
    Item,
    JobResult,
    MediaInfoResult,
    Output,
    ProductionResult,
    SegmentsResult,
    SpeechResult,
    VideoResult,
)
from mediabroker.spi import CancelOutcome, ProviderOptions
from mediabroker.states import JobState

if TYPE_CHECKING:
    from mediabroker.broker import AsyncBroker, AsyncJob, Attempt, Broker, EventStream, Ingested, Job, Plan
    from mediabroker.production import (
        Asr,
        AsyncTextToSpeech,
        AudioBeatDetection,
        AudioMixing,
        AudioQualityAssessment,
        Box,
        CaptionExtraction,
        Cover,
        FaceBeauty,
        ImageCartoonize,
        ImageDelogo,
        ImageH2V,
        ImageMatting,
        MusicSegmentDetect,
        SpeechDenoise,
        TextToSpeech,
        VideoClip,
        VideoDelogo,
        VideoDetext,
        VideoGreenScreenMatting,
        VideoH2V,
        VideoSplit,
    )

__all__ = [
    "Asr",
    "AsyncBroker",
    "AsyncJob",
    "AsyncTextToSpeech",
    "Attempt",
    "AudioBeatDetection",
    "AudioMixing",
    "AudioQualityAssessment",
    "AuthenticationError",
    "Box",
    "Broker",
    "BrokerClosedError",
    "CancelOutcome",
    "CaptionExtraction",
    "CaptionsResult",
    "ConfigurationError",
    "Cover",
    "CoverResult",
    "ErrorCode",
    "EventStream",
    "FaceBeauty",
    "IdempotencyConflictError",
    "ImageCartoonize",
    "ImageDelogo",
    "ImageH2V",
    "ImageMatting",
    "ImagesResult",
    "InboundMessage",
    "Ingested",
    "InvalidJobError",
    "Item",
    "Job",
    "JobAttemptFailed",
    "JobCancelled",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobFailedError",
    "JobNotFoundError",
    "JobProgressed",
    "JobQueued",
    "JobRef",
    "JobResult",
    "JobSpec",
    "JobStarted",
    "JobState",
    "JobSucceeded",
    "MediaBrokerError",
    "MediaInfo",
    "MediaInfoResult",
    "MediaURI",
    "MissingDependencyError",
    "MusicSegmentDetect",
    "Output",
    "Plan",
    "ProductionResult",
    "ProviderError",
    "ProviderOptions",
    "RedactingFilter",
    "Rendition",
    "SegmentsResult",
    "SmartProduction",
    "Snapshot",
    "SpeechDenoise",
    "SpeechResult",
    "StoreError",
    "SubmissionUnknownError",
    "SuperResolution",
    "TextToSpeech",
    "ThrottledError",
    "Transcode",
    "UnavailableError",
    "Unrecognised",
    "UnsupportedError",
    "VideoClip",
    "VideoDelogo",
    "VideoDetext",
    "VideoEncoder",
    "VideoGreenScreenMatting",
    "VideoH2V",
    "VideoResult",
    "VideoSplit",
]

_FROM_BROKER = {"AsyncBroker", "AsyncJob", "Attempt", "Broker", "EventStream", "Ingested", "Job", "Plan"}


def __getattr__(name: str) -> Any:
    # The broker brings the database toolkit, which is half of the import time; who only builds specs or reads events
    # (a Lambda function, a web handler) never pays for it. The leaves of smart production are many and seldom all used.
    if name in __all__:
        return getattr(import_module("mediabroker.broker" if name in _FROM_BROKER else "mediabroker.production"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
