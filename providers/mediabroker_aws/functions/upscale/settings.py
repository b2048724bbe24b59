"""What the super-resolution service is told by its function's environment.

    MEDIABROKER_UPSCALE_BUCKET              where sources and outputs lie; needed
    MEDIABROKER_UPSCALE_JOB_DEFINITION      the worker's; needed
    MEDIABROKER_UPSCALE_QUEUE_SPOT          job queues, by name or ARN; one of the two is needed
    MEDIABROKER_UPSCALE_QUEUE_ON_DEMAND
    MEDIABROKER_UPSCALE_INPUT_PREFIX        only keys below it are read; default: every key
    MEDIABROKER_UPSCALE_OUTPUT_PREFIX       outputs lie below it; default: beside their source
    MEDIABROKER_UPSCALE_WORK_PREFIX         manifests, slices and the service's own records; default `wip`
    MEDIABROKER_UPSCALE_SLICE_S             seconds of video in a slice; default 60
    MEDIABROKER_UPSCALE_MAX_OUTPUT_PIXELS   the largest picture that is made; default 8294400, which is 3840 x 2160
    MEDIABROKER_UPSCALE_ATTEMPT_TIMEOUT_S   how long one attempt of a slice may run; default 21600
    MEDIABROKER_UPSCALE_SETTLE_TIME_S       after an answer of Batch was lost: when a job that no search finds may be
                                            submitted again; more than the function's timeout and the lag of Batch's
                                            lists together; default 90
    MEDIABROKER_UPSCALE_PROVIDER            the provider's name in the references that are given out; default
                                            `aws-batch`

Region and endpoints are what every AWS SDK reads: `AWS_REGION`, which Lambda sets, and `AWS_ENDPOINT_URL_S3`,
`AWS_ENDPOINT_URL_BATCH`. The function's role needs `s3:GetObject` on the sources and outputs, `s3:GetObject` and
`s3:PutObject` below the work prefix, `s3:ListBucket` on the bucket (without it S3 does not tell what is missing from
what is forbidden), `batch:SubmitJob`, `batch:TagResource`, `batch:TerminateJob`, `batch:DescribeJobs` and
`batch:ListJobs`. Its timeout should be 29 s, as long as API Gateway waits.
"""

from __future__ import annotations

import os

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mediabroker.errors import ConfigurationError
from mediabroker.models import readable
from mediabroker.refs import MediaURI
from mediabroker_aws.settings import BatchQueues, BatchSettings

__all__ = ["UpscaleSettings", "load_settings"]

_READ_TIMEOUT_S = 10.0
"""Of one call: several must fit into the time that API Gateway waits."""


class UpscaleSettings(BaseSettings):
    """See the module. Prefixes have no slash at either end."""

    model_config = SettingsConfigDict(env_prefix="MEDIABROKER_UPSCALE_", env_ignore_empty=True, frozen=True)

    bucket: str
    job_definition: str
    queue_spot: str | None = None
    queue_on_demand: str | None = None
    input_prefix: str = ""
    output_prefix: str = ""
    work_prefix: str = Field(default="wip", min_length=1)
    slice_s: float = Field(default=60.0, ge=0.5, le=3600)
    max_output_pixels: int = Field(default=3840 * 2160, ge=1)
    attempt_timeout_s: int = Field(default=21_600, ge=60)
    settle_time_s: float = Field(default=90.0, ge=0)
    provider: str = "aws-batch"

    @field_validator("bucket")
    @classmethod
    def _is_a_bucket(cls, bucket: str) -> str:
        return MediaURI(f"s3://{bucket}/key").bucket

    @field_validator("input_prefix", "output_prefix", "work_prefix")
    @classmethod
    def _bare(cls, prefix: str) -> str:
        return prefix.strip("/")

    @model_validator(mode="after")
    def _one_queue_at_least(self) -> UpscaleSettings:
        self.queues()
        return self

    def queues(self) -> BatchQueues:
        return BatchQueues(spot=self.queue_spot, on_demand=self.queue_on_demand)

    def batch(self) -> BatchSettings:
        """The settings of the provider that does the work."""
        return BatchSettings(
            region=os.environ.get("AWS_REGION"),
            queues=self.queues(),
            job_definition=self.job_definition,
            work=self.uri(self.work_prefix),
            attempt_timeout_s=self.attempt_timeout_s,
            settle_time_s=self.settle_time_s,
            read_timeout_s=_READ_TIMEOUT_S,
        )

    def uri(self, key: str) -> MediaURI:
        """The object of that key in the service's bucket."""
        return MediaURI(f"s3://{self.bucket}/{key}")


def load_settings() -> UpscaleSettings:
    """The settings from the environment.

    Raises:
        ConfigurationError: one is missing or wrong; the message names each.
    """
    try:
        return UpscaleSettings()
    except ValidationError as error:
        raise ConfigurationError(f"MEDIABROKER_UPSCALE_…: {readable(error)}") from error
