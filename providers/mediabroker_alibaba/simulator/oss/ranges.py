"""Which bytes a `Range` header means, with OSS's own idea of one that cannot be satisfied."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError

__all__ = ["wanted_range"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def wanted_range(headers: Mapping[str, str], size_bytes: int) -> tuple[int, int, int]:
    """First byte, the one after the last, and the status.

    A range that reaches beyond the object is answered with all of it and 200, unless `x-oss-range-behavior: standard`
    asks for what RFC 9110 says. Source: Alibaba Cloud OSS, API reference, `GetObject`, "Range".

    Raises:
        OssRefusedError: such a range, by the standard.
    """
    given = _RANGE.fullmatch(headers.get("range", ""))
    if given is None or given[1] == given[2] == "":
        return 0, size_bytes, 200
    standard = headers.get("x-oss-range-behavior") == "standard"
    if given[1] == "":
        start, end = size_bytes - int(given[2]), size_bytes
    else:
        start, end = int(given[1]), int(given[2]) + 1 if given[2] else size_bytes
    beyond = start < 0 or start >= size_bytes or end > size_bytes or end <= start
    if not beyond:
        return start, end, 206
    if not standard:
        return 0, size_bytes, 200
    if start >= size_bytes or end <= start:
        raise OssRefusedError("InvalidRange")
    return max(start, 0), min(end, size_bytes), 206
