"""A change of a job as the event that EventBridge would carry.

Source: AWS Batch User Guide, "AWS Batch events for EventBridge".
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from mediabroker_aws.simulator.batch.records import Job, describe

__all__ = ["build_event"]


def build_event(job: Job, *, account: str, region: str, at: datetime) -> dict[str, Any]:
    """The whole envelope; `detail` is the job as it is now. Its tags hold a `resourceArn` that nobody asked for."""
    detail = {name: value for name, value in describe(job).items() if value is not None}
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Batch Job State Change",
        "source": "aws.batch",
        "account": account,
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": [job.arn],
        "detail": {**detail, "tags": {"resourceArn": job.arn, **job.tags}},
    }
