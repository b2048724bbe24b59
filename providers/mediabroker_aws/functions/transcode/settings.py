"""What the transcoding service is told by the environment of its two functions.

    MEDIABROKER_TRANSCODE_BUCKETS           the buckets it may work in, separated by commas; needed
    MEDIABROKER_TRANSCODE_WORKER            name or ARN of the function that transcodes; needed by the one that is asked
    MEDIABROKER_TRANSCODE_INPUT_PREFIX      only keys below it are read; default: every key
    MEDIABROKER_TRANSCODE_OUTPUT_PREFIX     outputs lie below it; default: anywhere in the bucket
    MEDIABROKER_TRANSCODE_QUEUE_URL         the SQS queue that completions are told to; default: nobody is told
    MEDIABROKER_TRANSCODE_WORKER_TIMEOUT_S  the transcoding function's timeout; default 900
    MEDIABROKER_TRANSCODE_WORKER_TMP_BYTES  its ephemeral storage; default 10 GiB
    MEDIABROKER_TRANSCODE_PIXELS_PER_S      how fast it encodes; decides what is too long for it; default 120000000
    MEDIABROKER_TRANSCODE_BUDGET_S          how long a request is worked on before the rest of a folder is handed to
                                            an invocation of its own; default 15, as API Gateway waits 29 s

Region and endpoints are what every AWS SDK reads. The role of the function that is asked needs `s3:GetObject` on
sources, `s3:GetObject` and `s3:PutObject` on outputs, `s3:ListBucket`, `lambda:InvokeFunction` on itself and the
worker, and `sqs:SendMessage` on the queue; the worker's needs the first four, `s3:DeleteObject` and
`s3:AbortMultipartUpload` on outputs, and `sqs:SendMessage` too. Where the function that is asked is the destination of
the worker's failures, the worker's role also needs `lambda:InvokeFunction` on it.
"""

from __future__ import annotations

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mediabroker.errors import ConfigurationError
from mediabroker.models import readable

__all__ = ["TranscoderSettings", "load_settings"]


class TranscoderSettings(BaseSettings):
    """See the module. Prefixes end in a slash, or are empty."""

    model_config = SettingsConfigDict(env_prefix="MEDIABROKER_TRANSCODE_", env_ignore_empty=True, frozen=True)

    buckets: str = Field(min_length=3)
    worker: str | None = None
    input_prefix: str = ""
    output_prefix: str = ""
    queue_url: str | None = None
    worker_timeout_s: float = Field(default=900.0, gt=0)
    worker_tmp_bytes: int = Field(default=10 << 30, ge=1 << 20)
    pixels_per_s: float = Field(default=120e6, gt=0)
    budget_s: float = Field(default=15.0, ge=0)

    @field_validator("input_prefix", "output_prefix")
    @classmethod
    def _by_whole_parts(cls, prefix: str) -> str:
        bare = prefix.strip("/")
        return f"{bare}/" if bare else ""

    def allows(self, bucket: str) -> bool:
        return bucket in {each.strip() for each in self.buckets.split(",")}

    def misplaced(self, bucket: str, src: str, dst: str) -> str | None:
        """Return what lies outside the places of this service, or None."""
        if not self.allows(bucket):
            return f"bucket: {bucket!r} is not one that this service works in"
        if not src.startswith(self.input_prefix):
            return f"src: {src!r} does not lie below {self.input_prefix}"
        if not dst.startswith(self.output_prefix):
            return f"dst: {dst!r} does not lie below {self.output_prefix}"
        return None


def load_settings() -> TranscoderSettings:
    """The settings from the environment.

    Raises:
        ConfigurationError: one is missing or wrong; the message names each.
    """
    try:
        return TranscoderSettings()
    except ValidationError as error:
        raise ConfigurationError(f"MEDIABROKER_TRANSCODE_…: {readable(error)}") from error
