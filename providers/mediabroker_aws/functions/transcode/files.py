"""What becomes of each file of a request: its entry in the answer, and the worker that is started for it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import ErrorCode, JobError, MediaError, ProviderError
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.functions.transcode.limits import check_fits
from mediabroker_aws.functions.transcode.settings import TranscoderSettings
from mediabroker_aws.metadata import read_metadata
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.transcoder.status import Seen, Status, StatusBoard
from mediabroker_aws.transcoder.wire import NOT_MP4, Names, TranscodeRequest, build_entry, choose_renditions

__all__ = ["FileDesk"]

_log = logging.getLogger(__name__)

_AT_ONCE = 8
_CLOCKS_S = 5.0
"""How far S3's clock, which shows whole seconds, and a function's may be apart."""


class FileDesk:
    """Decides file by file; one that cannot be dealt with never stops the others. Thread-safe."""

    def __init__(self, settings: TranscoderSettings, functions: AwsClient) -> None:
        self._settings = settings
        self._store = S3Store({})
        self.board = StatusBoard(self._store)
        self._functions = functions

    def decide(
        self, request: TranscodeRequest, keys: Sequence[str], *, asked_at: float | None = None
    ) -> list[JsonValue]:
        """An entry for each key, in order; markers of folders are none.

        Args:
            asked_at: when the caller asked, in seconds since 1970, if that was not just now: what has ended since then
                is not begun again. What was cancelled never is.
        """
        files = [key for key in keys if not key.endswith("/")]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda key: self._entry(request, key, asked_at), files))

    def _entry(self, request: TranscodeRequest, key: str, asked_at: float | None) -> JsonValue:
        try:
            names = Names.of(request, key)
        except ValueError as reason:
            return {"src": key, "status": "error", "error": str(reason)}
        if names is None:
            return {"error": NOT_MP4}
        try:
            return self._named(request, names, asked_at)
        except ProviderError as error:
            _log.warning("a file cannot be dealt with: %s", error, extra={"source": str(names.source)})
            return build_entry(names, "error", f"cannot be started now: {error}")

    def _named(self, request: TranscodeRequest, names: Names, asked_at: float | None) -> JsonValue:
        seen = self.board.read(names.work)
        if seen is not None and seen.status.state in ("running", "publishing"):
            return build_entry(names, "transcode", "test" if request.is_test else "no")
        over = seen.status if seen is not None and _is_over(seen, asked_at) else None
        try:
            if self._store.stat(names.output) is not None:
                if not request.is_test and not over and (seen is None or seen.status.state == "failed"):
                    self._write(request, names, seen, state="succeeded", existed=True)
                return build_entry(names, "exist", "exist")
            if over is not None:
                return build_entry(names, "error", over.error.message if over.error else over.state)
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
        queued = _status(request, names, seen, state="queued")
        version = self.board.write(names.work, queued, replaces=seen.version if seen else None)
        if version is None:
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
            failed = queued.model_copy(update={"state": "failed", "error": reason})
            self.board.write(names.work, failed, replaces=version)  # unless a worker has come after all
            raise

    def _write(self, request: TranscodeRequest, names: Names, seen: Seen | None, **said: Any) -> None:
        status = _status(request, names, seen, **said)
        self.board.write(names.work, status, replaces=seen.version if seen else None)


def _status(request: TranscodeRequest, names: Names, seen: Seen | None, **said: Any) -> Status:
    """A status in the place of another: whoever follows the work must never see its attempts become fewer."""
    kept = {"attempts": seen.status.attempts, "folders": seen.status.folders} if seen else {}
    known: dict[str, Any] = {**kept, "earlier": kept.get("attempts", 0)}
    return Status(source=names.source, output=names.output, request=request, **known, **said)


def _is_over(seen: Seen, asked_at: float | None) -> bool:
    """Whether a work has ended, and what is asked now does not begin it again."""
    if seen.status.state == "cancelled":
        return True
    ended_at = time.time() - seen.age_s
    return seen.status.has_ended and asked_at is not None and ended_at > asked_at - _CLOCKS_S
