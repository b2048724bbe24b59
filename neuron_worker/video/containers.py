"""Which containers results are written in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["CONTAINERS", "container_of"]

CONTAINERS: Mapping[str, str] = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffix of the output to the muxer that writes it."""


def container_of(output: Path) -> str:
    """Return the muxer for an output.

    Raises:
        MediaError: `INVALID_SPEC`, the suffix names no container that is written here.
    """
    if found := CONTAINERS.get(output.suffix.lower()):
        return found
    known = ", ".join(CONTAINERS)
    raise MediaError(ErrorCode.INVALID_SPEC, f"the output {output} ends in {output.suffix!r}; use one of {known}")
