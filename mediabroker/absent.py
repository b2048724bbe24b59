"""Parts of an attempt that have no vendor job: rejected while others were accepted, or not found by a search."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

__all__ = ["Absent"]

_OLD_REJECTED = re.compile(r"rejected:[^:]+:(?P<code>.+)")
_OLD_FILE = re.compile(r"(?P<code>not-mp4|no-name):(?P<source>s3://.+)", re.DOTALL)
_OLD_MISSING = re.compile(r"missing:(?:transcode|snapshot):\d+:(?P<since>\d{1,11}):(?P<token>.+)")


class Absent(BaseModel):
    """Why a part of an attempt has no vendor job, so that every process can tell.

    Args:
        reason: `rejected`: the vendor took other parts of the attempt, and never this one. `not_found`: a search has
            not found it; it may appear under `token`.
        code: the code of the rejection.
        source: the object that was rejected, as a URI.
        token: the attempt's token, which the job bears at the vendor.
        since: the jobs of the attempt were made about then (aware UTC).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Literal["rejected", "not_found"]
    code: str | None = None
    source: str | None = None
    token: str | None = None
    since: AwareDatetime | None = None

    @classmethod
    def of_old_id(cls, native_id: str) -> Absent | None:
        """Return what releases up to store schema 6 wrote in place of a native id; None: it is one."""
        if match := _OLD_REJECTED.fullmatch(native_id):
            return cls(reason="rejected", code=match["code"])
        if match := _OLD_FILE.fullmatch(native_id):
            return cls(reason="rejected", code=match["code"], source=match["source"])
        if match := _OLD_MISSING.fullmatch(native_id):
            at = int(match["since"])
            since = datetime.fromtimestamp(at, timezone.utc) if at else None
            return cls(reason="not_found", token=match["token"], since=since)
        return None
