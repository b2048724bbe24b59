"""Asks MPS what a source is before it is transcoded: nothing is scaled above it.

Source: Alibaba Cloud MPS, "SubmitMediaInfoJob", State and Properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediabroker.errors import ProviderError, UnavailableError
from mediabroker.refs import MediaURI
from mediabroker.results import MediaDetails
from mediabroker.spi import Flow, ask
from mediabroker_alibaba.mps.errors import PROVIDER, explain_failure
from mediabroker_alibaba.mps.finding import query_listed
from mediabroker_alibaba.mps.media_details import parse_properties
from mediabroker_alibaba.mps.requests import build_probe
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.settings import MpsSettings

__all__ = ["probe_source"]

_OPERATION = "SubmitMediaInfoJob"
_ENDED = ("Success", "Fail")
"""What is a verdict on the medium; in any other state MPS has not looked at all of it yet."""


def probe_source(settings: MpsSettings, options: MpsOptions, uri: MediaURI) -> Flow[MediaDetails]:
    """What the medium is. A job that its own answer does not tell the end of is asked for once.

    Raises:
        UnavailableError: MPS is still looking; another try may find it done.
        ProviderError: it cannot be transcoded.
    """
    reply = yield from ask(build_probe(settings, options, uri))
    job = reply.get("MediaInfoJob")
    seen: Mapping[str, Any] = job if isinstance(job, Mapping) else {}
    if seen.get("State") not in _ENDED and isinstance(job_id := seen.get("JobId"), str):
        seen = (yield from query_listed("QueryMediaInfoJobList", [job_id])).get(job_id, seen)
    if seen.get("State") not in _ENDED:
        raise UnavailableError(
            f"{uri} is still being looked at by MPS, and a transcode begins with what it is; a template needs no look",
            provider=PROVIDER,
            operation=_OPERATION,
        )
    media = parse_properties(seen.get("Properties"))
    if seen["State"] == "Fail" or media is None or not media.video:
        raise _refusal(uri, seen if seen["State"] == "Fail" else {})
    return media


def _refusal(uri: MediaURI, failed: Mapping[str, Any]) -> ProviderError:
    error = explain_failure(failed.get("Code") or "InvalidParameter.ResourceNotSupported", failed.get("Message"))
    return ProviderError(
        f"{uri} cannot be transcoded: {error.message}",
        provider=PROVIDER,
        operation=_OPERATION,
        provider_code=error.code.value,
    )
