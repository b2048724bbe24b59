"""What a smart-production job has made, read from the JSON text within JSON text of its `Result`: pure functions.

Source: Alibaba Cloud MPS, "QueryIProductionJob", and each function's page of results. Vendors' samples differ from page
to page, so everything here is lenient: what cannot be read is left to `raw`, never an error.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import JsonValue, ValidationError

from mediabroker.errors import InvalidJobError
from mediabroker.refs import MediaURI
from mediabroker.results import (
    CaptionsResult,
    CaptionTrack,
    CoverImage,
    CoverResult,
    JobResult,
    Output,
    ProductionResult,
    Segment,
    SegmentsResult,
    SpeechResult,
)

__all__ = ["Answer", "build_result", "parse_result"]

_log = logging.getLogger(__name__)

_HTTP = re.compile(r"https?://(?P<bucket>[a-z0-9-]+)\.oss-[a-z0-9.-]+/(?P<key>[^?#]+)")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class Answer(NamedTuple):
    """The vendor's `Result`. `data` is what its `Data` holds, or all of it where there is no `Data`."""

    code: str
    message: str
    data: JsonValue


def parse_result(text: object) -> Answer:
    """The parsed `Result`; all empty where there is none or it is no JSON."""
    whole = _loads(text)
    if not isinstance(whole, dict):
        return Answer("", "", whole)
    named = {name.lower(): value for name, value in whole.items()}
    data = _loads(named["data"]) if "data" in named else whole
    return Answer(str(named.get("code") or ""), str(named.get("message") or ""), data)


def build_result(kind: type[JobResult], answer: Answer, pattern: MediaURI | None) -> JobResult:
    """The typed result. `pattern` is the output as it was asked for: files lie in its bucket."""
    files = [] if pattern is None else [uri for key in _keys(answer.data) if (uri := _beside(pattern, key))]
    outputs = tuple(Output(uri=uri) for uri in dict.fromkeys(files))
    read = _READERS.get(kind)
    if read is None:
        return kind(outputs=outputs)
    try:
        return kind.model_validate({"outputs": outputs, **read(answer, pattern)})
    except (ValidationError, InvalidJobError) as error:
        _log.warning(
            "a result of MPS is not of the documented form (error %s)",
            type(error).__name__,
            extra={"error": type(error).__name__},
        )
        return kind(outputs=outputs)


def _loads(text: object) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text or None


def _keys(data: Any) -> Iterator[str]:
    """The object keys in a `Data`, whichever of the documented forms it has."""
    entries: Any = data
    if isinstance(data, dict):
        entries = data.get("result") or data.get("Details") or ()
    for entry in entries if isinstance(entries, list | tuple) else ():
        if isinstance(entry, dict):
            key = next((entry[name] for name in ("file", "Url", "Output") if isinstance(entry.get(name), str)), None)
            if key:
                yield key


def _beside(pattern: MediaURI, key: str) -> MediaURI | None:
    """The file in the bucket of the pattern. One page shows a whole URL where the others show keys."""
    match = _HTTP.fullmatch(key)
    host = str(pattern).removeprefix("oss://").partition("/")[0]
    if match:
        host, key = host.replace(pattern.bucket, match["bucket"], 1), match["key"]
    try:
        return MediaURI(f"oss://{host}/{key.lstrip('/')}")
    except InvalidJobError:
        return None


def _covers(answer: Answer, pattern: MediaURI | None) -> dict[str, Any]:
    covers = []
    for entry in answer.data if isinstance(answer.data, list) else ():
        url = entry.get("Url") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(url, str) and pattern and (uri := _beside(pattern, url)):
            at_ms = _number(entry.get("Time"))
            at_s = None if at_ms is None or at_ms < 0 else at_ms / 1000
            covers.append(CoverImage(uri=uri, score=_number(entry.get("Score")), at_s=at_s))
    return {"covers": covers}


def _captions(answer: Answer, pattern: MediaURI | None) -> dict[str, Any]:
    keys = list(_keys(answer.data)) if pattern else []
    tracks = [(_beside(pattern, key), _language(pattern, key)) for key in keys if pattern]
    return {"tracks": [CaptionTrack(uri=uri, language=language) for uri, language in tracks if uri]}


def _language(pattern: MediaURI, key: str) -> str | None:
    """What stands where the asked-for name has `{resultType}`."""
    if "{resultType}" not in pattern.key:
        return None
    whole = re.escape(pattern.key).replace(re.escape("{resultType}"), r"(?P<language>[^/]+?)", 1)
    match = re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", whole), key)
    return match["language"] if match and _LANGUAGE.fullmatch(match["language"]) else None


def _segments(answer: Answer, _: MediaURI | None) -> dict[str, Any]:
    data = answer.data if isinstance(answer.data, dict) else {}
    entries: Any = data.get("result") or data.get("splitResult") or ()
    found = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            start_s = _number(entry.get("start", entry.get("beginTime")))
            end_s = _number(entry.get("end", entry.get("endTime")))
            if start_s is not None and end_s is not None:
                found.append(Segment(start_s=start_s, end_s=end_s, title=str(entry.get("title") or "")))
    return {"segments": found}


def _speech(answer: Answer, _: MediaURI | None) -> dict[str, Any]:
    return {"outputs": (), "audio_base64": next(_keys(answer.data), None)}


def _data(answer: Answer, _: MediaURI | None) -> dict[str, Any]:
    return {"data": answer.data}


def _number(value: Any) -> float | None:
    """A number, also one in text."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


_READERS: Mapping[type[JobResult], Callable[[Answer, MediaURI | None], dict[str, Any]]] = {
    CoverResult: _covers,
    CaptionsResult: _captions,
    SegmentsResult: _segments,
    SpeechResult: _speech,
    ProductionResult: _data,
}
"""What a type of result has beside its files."""
