"""One typed API for media jobs on every vendor.

from mediabroker import Broker, SuperResolution

with Broker() as broker:
    video = broker.run(SuperResolution(input="in.mp4", output="out.mp4", scale=2))
"""

from mediabroker.broker import AsyncBroker, AsyncJob, Attempt, Broker, Job, Plan
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
from mediabroker.refs import JobRef, MediaURI
from mediabroker.results import ImagesResult, Item, JobResult, MediaInfoResult, Output, VideoResult
from mediabroker.spi import CancelOutcome, ProviderOptions
from mediabroker.states import JobState

__all__ = [
    "AsyncBroker",
    "AsyncJob",
    "Attempt",
    "AuthenticationError",
    "Broker",
    "CancelOutcome",
    "ConfigurationError",
    "ErrorCode",
    "IdempotencyConflictError",
    "ImagesResult",
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
