"""The provider `aws-batch` at Batch itself; what it does with S3 objects is in `object_transport`."""

from __future__ import annotations

from typing import Any

from botocore import xform_name

from mediabroker.errors import UnavailableError
from mediabroker.spi import Call, Reply
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.settings import BatchSettings

__all__ = ["BatchTransport"]

_ANSWERS = {"DescribeJobs": "jobs", "ListJobs": "jobSummaryList"}
"""What an answer must hold. botocore reads a broken 200 as an empty answer, which would mean that no job is known."""


class BatchTransport:
    """Performs Batch's own operations. Thread-safe."""

    def __init__(self, settings: BatchSettings) -> None:
        self._client = AwsClient("batch", settings)

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`."""
        send = self._client.create if call.effect == "create" else self._client.call
        answer = send(xform_name(call.operation), **call.params)
        answer.pop("ResponseMetadata", None)
        if (needed := _ANSWERS.get(call.operation)) and needed not in answer:
            raise UnavailableError(
                f"{call.operation}: the answer is broken", provider="batch", operation=call.operation
            )
        return answer

    def close(self) -> None:
        self._client.close()
