"""What becomes of each file of a request: its entry in the answer, and the worker that is started for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError, MediaError, ProviderError
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.functions.transcode_limits import check_fits
from mediabroker_aws.functions.transcode_settings import TranscoderSettings
from mediabroker_aws.metadata import read_metadata
from mediabroker_aws.s3 import S3Store
from mediabroker_aws.transcoder_status import Seen, Status, StatusBoard
from mediabroker_aws.transcoder_wire import NOT_MP4, Names, TranscodeRequest, build_entry, choose_renditions

__all__ = ["FileDesk"]

_log = logging.getLogger(__name__)

_AT_ONCE = 8


class FileDesk:
    """Decides file by file; one that cannot be dealt with never stops the others. Thread-safe."""

    def __init__(self, settings: TranscoderSettings, s3: AwsClient, functions: AwsClient) -> None:
        self._settings = settings
        self._board = StatusBoard(s3)
        self._store = S3Store({})
        self._functions = functions

    def decide(self, request: TranscodeRequest, keys: Sequence[str]) -> list[JsonValue]:
        """An entry for each key, in order; markers of folders are none."""
        files = [key for key in keys if not key.endswith("/")]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda key: self._entry(request, key), files))

    def _entry(self, request: TranscodeRequest, key: str) -> JsonValue:
        try:
            names = Names.of(request, key)
        except ValueError as reason:
            return {"src": key, "status": "error", "error": str(reason)}
        if names is None:
            return {"error": NOT_MP4}
        try:
            return self._named(request, names)
        except ProviderError as error:
            _log.warning("a file cannot be dealt with: %s", error, extra={"source": str(names.source)})
            return build_entry(names, "error", f"cannot be started now: {error}")

    def _named(self, request: TranscodeRequest, names: Names) -> JsonValue:
        seen = self._board.read(names.work)
        if seen is not None and seen.status.state in ("running", "publishing"):
            return build_entry(names, "transcode", "test" if request.is_test else "no")
        try:
            if self._store.stat(names.output) is not None:
                if not request.is_test and (seen is None or seen.status.state in ("failed", "cancelled")):
                    self._write(request, names, seen, state="succeeded", existed=True)
                return build_entry(names, "exist", "exist")
            metadata = read_metadata(self._store, names.source)
            renditions = choose_renditions(request.type, request.v_height, request.v_bitrate)
            check_fits(metadata, renditions, self._settings)
            if not request.is_test:
                self._start(request, names, seen)
        except MediaError as error:
            if not request.is_test:
                self._write(request, names, seen, state="failed", error=error.error)
            return build_entry(names, "error", error.error.message)
        return build_entry(names, "transcode", "test" if request.is_test else "no")

    def _start(self, request: TranscodeRequest, names: Names, seen: Seen | None) -> None:
        """Put the work down as queued, then start a worker. One that is queued already may have lost its worker."""
        if self._write(request, names, seen, state="queued") is None:
            return  # the same request was quicker
        try:
            self._functions.call(
                "invoke",
                FunctionName=self._settings.worker,
                InvocationType="Event",
                Payload=json.dumps({"work": names.work}),
            )
        except ProviderError as error:
            code = ErrorCode.RATE_LIMITED if error.retryable else ErrorCode.PROVIDER_INTERNAL
            reason = JobError.of(code, f"no worker could be started: {error}")
            self._write(request, names, self._board.read(names.work), state="failed", error=reason)
            raise

    def _write(self, request: TranscodeRequest, names: Names, seen: Seen | None, **said: Any) -> str | None:
        status = Status(source=names.source, output=names.output, request=request, **said)
        return self._board.write(names.work, status, replaces=seen.etag if seen else None)
