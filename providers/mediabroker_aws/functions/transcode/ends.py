"""Tells a queue that a work has ended. Whoever misses it reads the status, which says it too."""

from __future__ import annotations

import json
import logging
import os

from mediabroker.errors import ProviderError
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.settings import AwsSettings
from mediabroker_aws.transcoder.status import Status, build_completion

__all__ = ["EndTeller"]

_log = logging.getLogger(__name__)


class EndTeller:
    """Sends completions to the queue of the settings, if they name one. Thread-safe."""

    def __init__(self, settings: TranscoderSettings) -> None:
        self._queue_url = settings.queue_url
        self._sqs = AwsClient("sqs", AwsSettings(), attempts=3)

    def tell(self, work: str, status: Status) -> None:
        if not self._queue_url:
            return
        message = build_completion(work, status, region=os.environ.get("AWS_REGION"))
        try:
            self._sqs.call("send_message", QueueUrl=self._queue_url, MessageBody=json.dumps(message))
        except ProviderError as error:
            _log.warning("a completion could not be told: %s", error, extra={"work": work})
