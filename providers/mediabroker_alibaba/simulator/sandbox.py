"""Alibaba Cloud on this machine: `mediabroker sandbox alibaba`. Jobs are really done, with ffmpeg."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from mediabroker_alibaba.simulator.cloud import AlibabaSimulator

__all__ = ["AlibabaSandbox"]

ACCOUNT, REGION = "1234567890123456", "cn-shanghai"
BUCKET, EVENTS, PIPELINE = "media", "media-events", "mediabroker"
_KEY_ID = "LTAIOFTHESANDBOX"
_PUMP_S = 0.1


class AlibabaSandbox:
    """A `Sandbox`: one account in one region with a bucket, and a pipeline whose jobs tell a queue. `folder` gets the
    objects' bytes."""

    def __init__(self, folder: Path) -> None:
        objects = folder / "objects"
        objects.mkdir(exist_ok=True)
        self.cloud = AlibabaSimulator(objects, regions=(REGION,), pump_s=_PUMP_S)
        secret = f"sandbox-{secrets.token_urlsafe(12)}"
        account = self.cloud.add_account(ACCOUNT, access_key_id=_KEY_ID, access_key_secret=secret)
        self.cloud.create_bucket(account, BUCKET)
        self.cloud.create_queue(account, EVENTS)
        pipeline_id = self.cloud.mps.add_pipeline(ACCOUNT, REGION, PIPELINE, queue=EVENTS)
        endpoints = self.cloud.endpoints()
        self.environment = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": _KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
            "ALIBABA_CLOUD_SECURITY_TOKEN": "",  # one of the user's own would go out with the sandbox's key
            "ALIBABA_CLOUD_CREDENTIALS_FILE": os.devnull,
        }
        mps: dict[str, Any] = {
            "region": REGION,
            "account": ACCOUNT,
            "endpoint_url": endpoints.mps,
            "oss_endpoint_url": endpoints.oss,
            "pipeline": pipeline_id,
            "poll_interval_s": 1.0,
            "settle_time_s": 0.0,
        }
        self.settings = {
            "providers": {"alibaba-mps": mps},
            "stores": {"oss": {"region": REGION, "endpoint_url": endpoints.oss}},
            "sources": {"mns": {"region": REGION, "endpoint_url": endpoints.mns}},
        }
        self.facts = {
            "bucket": f"oss://{BUCKET}.oss-{REGION}.aliyuncs.com",
            "events": f"mns://{ACCOUNT}.mns.{REGION}.aliyuncs.com/queues/{EVENTS}",
            "pipeline": pipeline_id,
            "MPS": endpoints.mps,
            "MNS": endpoints.mns,
            "OSS": endpoints.oss,
        }

    def close(self) -> None:
        """Stop everything, also jobs that run."""
        self.cloud.close()
