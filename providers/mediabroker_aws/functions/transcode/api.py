"""`POST /videoTranscode`: what is asked is checked, each file is looked at and handed to a worker of its own.

The function `handler` takes requests of API Gateway, and the nine fields themselves from whoever may invoke it. As the
destination of the worker's failures it takes Lambda's records of them: their works then fail at once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import JsonValue, ValidationError

from mediabroker.errors import ProviderError
from mediabroker.models import readable
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.functions.proxy import RefusedError, is_proxy_event, parse_event, respond
from mediabroker_aws.functions.transcode.claim import end_lost
from mediabroker_aws.functions.transcode.ends import EndTeller
from mediabroker_aws.functions.transcode.files import FileDesk
from mediabroker_aws.functions.transcode.settings import TranscoderSettings, load_settings
from mediabroker_aws.settings import AwsSettings
from mediabroker_aws.transcoder.status import LostInvocation
from mediabroker_aws.transcoder.wire import REFUSALS, TranscodeRequest

__all__ = ["Intake", "handler"]

_log = logging.getLogger(__name__)

_PAGE = 200
"""Keys that are looked at before the time is."""
_LEFT_S = 60.0
"""What an invocation that goes on with a folder keeps of its time for the last page."""
_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey"})
_DENIED = frozenset({"403", "AccessDenied"})


def handler(event: Any, context: Any) -> Any:
    """The Lambda function that is asked; see `Intake`."""
    return _intake()(event, context)


@cache
def _intake() -> Intake:
    return Intake(load_settings())


class Intake:
    """Answers requests. Thread-safe."""

    def __init__(self, settings: TranscoderSettings) -> None:
        self._settings = settings
        self._s3 = AwsClient("s3", AwsSettings(), attempts=3)
        # A worker that is started twice does its work once, so a lost answer may be asked for again.
        self._lambda = AwsClient("lambda", AwsSettings(), attempts=3)
        self._desk = FileDesk(settings, self._lambda)
        self._teller = EndTeller(settings)

    def __call__(self, event: Any, context: Any) -> Any:
        """An answer of the gateway's form to its events; otherwise the answer itself, or `statusCode` and `message`."""
        if isinstance(event, Mapping) and "requestPayload" in event:
            return self._end_lost(LostInvocation.model_validate(event))
        proxied = is_proxy_event(event)
        try:
            if isinstance(event, Mapping) and "dispatch" in event:
                return self._go_on(event["dispatch"], context)
            fields = parse_event(event).fields() if proxied else _object(event)
            answer = self._answer(fields, context)
        except RefusedError as refusal:
            message: JsonValue = {"message": refusal.message, "code": REFUSALS[refusal.status].value}
            return respond(refusal.status, message) if proxied else {"statusCode": refusal.status, **_object(message)}
        except ProviderError as error:
            return _own_trouble(error, proxied=proxied)
        return respond(200, answer) if proxied else answer

    def _end_lost(self, lost: LostInvocation) -> dict[str, JsonValue]:
        ended = end_lost(self._desk.board, lost)
        if ended is not None:
            self._teller.tell(lost.payload.work, ended)
        return {"ended": ended is not None}

    def _answer(self, fields: Mapping[str, Any], context: Any) -> dict[str, JsonValue]:
        request = self._read(fields)
        if not request.is_folder:
            self._refuse_missing(request)
            return {"videos": self._desk.decide(request, [request.src])}
        return self._work_off(request, "", context.function_name, self._settings.budget_s)

    def _read(self, fields: Mapping[str, Any]) -> TranscodeRequest:
        try:
            request = TranscodeRequest.model_validate(fields)
        except ValidationError as error:
            raise RefusedError(400, readable(error)) from error
        self._check(request)
        return request

    def _go_on(self, rest: Mapping[str, Any], context: Any) -> dict[str, JsonValue]:
        """The rest of a folder that was too large for one request. Asked for twice, it begins nothing anew."""
        request = self._read(rest["request"])
        budget_s = max(0.0, context.get_remaining_time_in_millis() / 1000 - _LEFT_S)
        asked_at = float(rest.get("asked_at", 0.0))
        answer = self._work_off(request, str(rest["after"]), context.function_name, budget_s, asked_at)
        return {"looked_at": len(answer["videos"]) if isinstance(answer["videos"], list) else 0}

    def _work_off(
        self, request: TranscodeRequest, after: str, function: str, budget_s: float, asked_at: float | None = None
    ) -> dict[str, JsonValue]:
        started, now, videos = time.monotonic(), time.time(), list[JsonValue]()
        for keys, more in self._pages(request, after):
            videos += self._desk.decide(request, keys, asked_at=asked_at)
            if more and time.monotonic() - started > budget_s:
                if not request.is_test:
                    self._hand_over(request, keys[-1], function, now if asked_at is None else asked_at)
                return {"videos": videos, "more": True}
        return {"videos": videos}

    def _hand_over(self, request: TranscodeRequest, after: str, function: str, asked_at: float) -> None:
        payload = json.dumps({"dispatch": {"request": request.fields(), "after": after, "asked_at": asked_at}})
        self._lambda.call("invoke", FunctionName=function, InvocationType="Event", Payload=payload)

    def _pages(self, request: TranscodeRequest, after: str) -> Iterator[tuple[list[str], bool]]:
        """The folder's keys, page by page, and whether more come after it.

        Raises:
            RefusedError: there is no such bucket, or nothing in the folder.
        """
        listed = {"Bucket": request.bucket, "Prefix": request.src, "MaxKeys": _PAGE}
        first = not after
        while True:
            try:
                page = self._s3.call("list_objects_v2", **listed, **({"StartAfter": after} if after else {}))
            except ProviderError as error:
                raise _explained(error, request) from error
            keys = [str(each["Key"]) for each in page.get("Contents", ())]
            if first and not [key for key in keys if key != request.src]:
                raise RefusedError(404, f"src: there is nothing in s3://{request.bucket}/{request.src}")
            yield keys, bool(page.get("IsTruncated"))
            if not page.get("IsTruncated"):
                return
            first, after = False, keys[-1]

    def _refuse_missing(self, request: TranscodeRequest) -> None:
        try:
            self._s3.call("head_object", Bucket=request.bucket, Key=request.src)
        except ProviderError as error:
            raise _explained(error, request) from error

    def _check(self, request: TranscodeRequest) -> None:
        """Refuse what lies outside the places of this service, whichever way the request has come."""
        if problem := self._settings.misplaced(request.bucket, request.src, request.dst):
            raise RefusedError(403, problem)
        if request.is_folder and request.dst.startswith(request.src):
            raise RefusedError(400, "dst: it lies in src, so the outputs of this request would be sources of the next")


def _own_trouble(error: ProviderError, *, proxied: bool) -> dict[str, JsonValue]:
    """The answer when S3 or Lambda does not do what the service asks of it. Files may be in work already."""
    if error.retryable:
        _log.warning("S3 or Lambda cannot be asked now: %s", error)
        message: JsonValue = {"message": "busy, ask again"}
        return respond(503, message, Retry_After="5") if proxied else {"statusCode": 503, **_object(message)}
    _log.error("S3 or Lambda refuses what the service asks: %s", error, extra={"request_id": error.request_id})
    message = {"message": f"the service cannot do its work: {error}"}
    return respond(500, message) if proxied else {"statusCode": 500, **_object(message)}


def _object(value: Any) -> dict[str, JsonValue]:
    if not isinstance(value, Mapping):
        raise RefusedError(400, f"the request is a JSON {type(value).__name__}, it must be an object")
    return dict(value)


def _explained(error: ProviderError, request: TranscodeRequest) -> Exception:
    if error.provider_code in _MISSING:
        return RefusedError(404, f"src: there is no s3://{request.bucket}/{request.src}")
    if error.provider_code in _DENIED:
        return RefusedError(403, f"src: s3://{request.bucket}/{request.src} may not be read")
    return error
