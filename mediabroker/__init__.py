"""One typed API for media jobs on every vendor.

from mediabroker import Broker, SuperResolution

with Broker() as broker:
    video = broker.run(SuperResolution(input="in.mp4", output="out.mp4", scale=2))
"""

from typing import TYPE_CHECKING, Any

from mediabroker.errors import (
    AuthenticationError,
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
from mediabroker.refs import JobRef, MediaURI
from mediabroker.results import ImagesResult, Item, JobResult, MediaInfoResult, Output, VideoResult
from mediabroker.spi import CancelOutcome, ProviderOptions
from mediabroker.states import JobState

if TYPE_CHECKING:
    from mediabroker.broker import AsyncBroker, AsyncJob, Attempt, Broker, EventStream, Ingested, Job, Plan

__all__ = [
    "AsyncBroker",
    "AsyncJob",
    "Attempt",
    "AuthenticationError",
    "Broker",
    "CancelOutcome",
    "ConfigurationError",
    "ErrorCode",
    "EventStream",
    "IdempotencyConflictError",
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
    "Output",
    "Plan",
    "ProviderError",
    "ProviderOptions",
    "Rendition",
    "SmartProduction",
    "Snapshot",
    "StoreError",
    "SubmissionUnknownError",
    "SuperResolution",
    "ThrottledError",
    "Transcode",
    "UnavailableError",
    "Unrecognised",
    "UnsupportedError",
    "VideoEncoder",
    "VideoResult",
]

_FROM_BROKER = {"AsyncBroker", "AsyncJob", "Attempt", "Broker", "EventStream", "Ingested", "Job", "Plan"}


def __getattr__(name: str) -> Any:
    # The broker brings the database toolkit, which is half of the import time; who only builds specs or reads events
    # (a Lambda function, a web handler) never pays for it.
    if name in _FROM_BROKER:
        from mediabroker import broker  # noqa: PLC0415

        return getattr(broker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
