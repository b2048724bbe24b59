"""The super-resolution service's function behind API Gateway.

    POST   /                start a job: `key`, and `scale`, `task`, `env`, `output`, … ; header `Idempotency-Key`
    GET    /jobs/{id}       one job
    GET    /jobs?token=     the job that was started with that `Idempotency-Key`
    GET    /jobs?ids=a,b    several jobs; those that are not known are left out, of one that cannot be told of now
                            there are only `id` and `error`
    DELETE /jobs/{id}       stop a job

Every answer is JSON; every refusal is `{"error": {"code", "message", ...}}`. Who may call is the gateway's business.
Its settings are described in `mediabroker_aws.functions.upscale.settings`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import ConfigurationError, ErrorCode, JobNotFoundError
from mediabroker.spi import CancelOutcome
from mediabroker_aws.functions.proxy import ApiRequest, RefusedError, parse_event, respond
from mediabroker_aws.functions.upscale.jobs import UpscaleJobs
from mediabroker_aws.functions.upscale.order import parse_order
from mediabroker_aws.functions.upscale.refusals import build_error, build_refusal, explain
from mediabroker_aws.functions.upscale.settings import load_settings
from mediabroker_aws.service.wire import ID_FORM, NOT_FOUND, QUERY_LIMIT, JobView

__all__ = ["handler", "make_handler"]

_log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any], Any], dict[str, JsonValue]]

_BODY_LIMIT_BYTES = 64 << 10
_KEY_LIMIT = 256
_JOB_PATH = re.compile(rf"/jobs/(?P<id>{ID_FORM})/?")


def handler(event: Mapping[str, Any], context: Any) -> dict[str, JsonValue]:
    """The function's entry. A wrong setting is an answer, too: 500 that names it."""
    try:
        jobs = _configured(str((event.get("requestContext") or {}).get("accountId") or ""))
    except ConfigurationError as error:
        _log.error("the service is not configured: %s", error)
        return build_error(500, ErrorCode.PROVIDER_INTERNAL, str(error))
    return make_handler(jobs)(event, context)


@cache
def _configured(account: str) -> UpscaleJobs:
    return UpscaleJobs(load_settings(), account=account or None)


def make_handler(jobs: UpscaleJobs) -> Handler:
    """The function over one service; whatever goes wrong, it answers."""

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, JsonValue]:  # noqa: ARG001  Lambda's signature
        try:
            return _route(jobs, parse_event(event))
        except Exception as error:  # noqa: BLE001, RUF100  the caller gets an answer, the log the rest
            return build_refusal(error)

    return handle


def _route(jobs: UpscaleJobs, request: ApiRequest) -> dict[str, JsonValue]:
    path = request.path.rstrip("/") or "/"
    if path == "/":
        return _only("POST", request) or _start(jobs, request)
    if path == "/jobs":
        return _only("GET", request) or _list(jobs, request)
    if (named := _JOB_PATH.fullmatch(path)) is None:
        return build_error(404, NOT_FOUND, f"there is nothing at {path}; use POST /, GET /jobs or GET /jobs/{{id}}")
    if request.method == "DELETE":
        view = jobs.cancel(named["id"], caller=request.caller)
        return respond(200 if view.outcome is CancelOutcome.TOO_LATE else 202, _shown(view))
    return _only("GET", request, also="DELETE") or respond(200, _shown(jobs.look(named["id"], caller=request.caller)))


def _only(method: str, request: ApiRequest, *, also: str = "") -> dict[str, JsonValue] | None:
    if request.method == method:
        return None
    allowed = f"{method}, {also}" if also else method
    return build_error(405, ErrorCode.INVALID_SPEC, f"{request.method} is not known here; use {allowed}", Allow=allowed)


def _start(jobs: UpscaleJobs, request: ApiRequest) -> dict[str, JsonValue]:
    if not request.body.strip():
        raise RefusedError(400, 'the body is empty; send a JSON object, as {"key": "in/film.mp4"}')
    if len(request.body) > _BODY_LIMIT_BYTES:
        raise RefusedError(413, f"the body has more than {_BODY_LIMIT_BYTES} bytes")
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= _KEY_LIMIT and key.isprintable()):
        raise RefusedError(400, f"Idempotency-Key {key!r:.80}: use 1 to {_KEY_LIMIT} printable characters")
    view = jobs.accept(parse_order(request.fields()), caller=request.caller, key=key)
    return respond(202, _shown(view), Location=f"{request.base}/jobs/{view.id}")


def _list(jobs: UpscaleJobs, request: ApiRequest) -> dict[str, JsonValue]:
    token, ids = request.query.get("token"), request.query.get("ids")
    if (token is None) == (ids is None):
        raise RefusedError(400, "say which jobs: ?token=<Idempotency-Key> or ?ids=<id>,<id>")
    if token is not None:
        view = jobs.find(token, caller=request.caller)
        return respond(200, {"jobs": [_shown(view)] if view else []})
    asked = [each for each in str(ids).split(",") if each]
    if len(asked) > QUERY_LIMIT:
        raise RefusedError(400, f"ids: {len(asked)} jobs; ask for {QUERY_LIMIT} at most")
    answers = [(each, _told(jobs, each, request.caller)) for each in asked if re.fullmatch(ID_FORM, each)]
    troubles = [answer for _, answer in answers if isinstance(answer, Exception)]
    if troubles and not any(isinstance(answer, JobView) for _, answer in answers):
        raise troubles[0]
    return respond(200, {"jobs": [_listed(job_id, answer) for job_id, answer in answers if answer is not None]})


def _told(jobs: UpscaleJobs, job_id: str, caller: str) -> JobView | Exception | None:
    """The job, None where there is none, or why it cannot be told of now; the others are told of all the same."""
    try:
        return jobs.look(job_id, caller=caller)
    except JobNotFoundError:
        return None
    except Exception as error:
        _log.warning("a job cannot be told of (job %s)", job_id, exc_info=error, extra={"job": job_id})
        return error


def _listed(job_id: str, answer: JobView | Exception) -> JsonValue:
    if isinstance(answer, JobView):
        return _shown(answer)
    return {"id": job_id, "error": explain(answer).model_dump(mode="json", exclude_none=True)}


def _shown(view: JobView) -> JsonValue:
    shown: JsonValue = view.model_dump(mode="json", exclude_none=True)
    return shown
