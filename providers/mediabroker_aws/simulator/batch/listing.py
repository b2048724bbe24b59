"""`ListJobs`: one place to look, one filter, pages. Source: AWS Batch API Reference, "ListJobs"."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mediabroker_aws.simulator.batch.records import Job, summarise
from mediabroker_aws.simulator.batch.rules import refuse

__all__ = ["check_place", "list_page"]

_PLACES = ("jobQueue", "arrayJobId", "multiNodeJobId")
_PAGE, _FILTERED_PAGE = 1000, 100


def list_page(jobs: Sequence[Job], params: Mapping[str, Any]) -> dict[str, Any]:
    """One page of those among `jobs` that the request asks for, the newest first. `jobs` lie in the right place."""
    filters = params.get("filters", ())
    if len(filters) > 1:
        raise refuse("filters: only one at a time")
    if filters:
        wanted = _filter(filters[0])
    else:
        status = params.get("jobStatus", "RUNNING")  # the default is not "all"
        wanted = lambda job: job.status == status  # noqa: E731  the same thing as what `_filter` returns
    found = sorted((job for job in jobs if wanted(job)), key=lambda job: job.created_ms, reverse=True)
    limit = min(params.get("maxResults", _FILTERED_PAGE), _FILTERED_PAGE if filters else _PAGE)
    start = _offset(params.get("nextToken"))
    token = base64.b64encode(str(start + limit).encode()).decode() if start + limit < len(found) else None
    return {"jobSummaryList": [summarise(job) for job in found[start : start + limit]], "nextToken": token}


def check_place(params: Mapping[str, Any]) -> None:
    """Refuse a request that names no place to look, or two."""
    if sum(name in params for name in _PLACES) != 1:
        raise refuse(f"give exactly one of {', '.join(_PLACES)}")


def _filter(given: Mapping[str, Any]) -> Callable[[Job], bool]:
    name, values = given.get("name"), given.get("values", ())
    if len(values) != 1:
        raise refuse("filters: exactly one value")
    value = values[0]
    if name in ("BEFORE_CREATED_AT", "AFTER_CREATED_AT"):
        if not value.isdigit():
            raise refuse(f"filters: {value!r} is no time in milliseconds")
        if name == "BEFORE_CREATED_AT":
            return lambda job: job.created_ms < int(value)
        return lambda job: job.created_ms > int(value)
    if name == "JOB_NAME":
        return lambda job: _matches(job.name, value)
    if name == "JOB_DEFINITION":
        return lambda job: _matches(job.definition.rpartition("/")[2], value)
    raise refuse(f"filters: {name!r} is not known")


def _matches(text: str, pattern: str) -> bool:
    text, pattern = text.lower(), pattern.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _offset(token: str | None) -> int:
    try:
        return int(base64.b64decode(token, validate=True)) if token else 0
    except ValueError:
        raise refuse("nextToken is not valid") from None
