"""Whether a file holds all that its own header announces: what FFmpeg's demuxers of Matroska and AVI do not tell.

A recording that was never finished announces nothing, and passes. MP4 needs no look of this kind: it says how long each
packet is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["refuse_cut_short"]

_SEGMENT = 0x18538067
"""Source: RFC 9559, section 5.1; what holds everything of a Matroska or WebM file."""
_SLACK_BYTES = 16
"""Some writers of AVI count the header in."""
_RIFF_HEADER = struct.Struct("<4sI")
"""Source: Microsoft, "AVI RIFF File Reference": a four-character code and the length of what follows it."""


def refuse_cut_short(path: Path, demuxer: str) -> None:
    """Nothing, where there is no telling.

    Raises:
        MediaError: `MEDIA_CORRUPT`, the file ends before its header says.
    """
    announced = _LENGTHS.get(demuxer)
    if announced is None:
        return
    with path.open("rb") as file:
        missing_bytes = announced(file) - path.stat().st_size
    if missing_bytes > _SLACK_BYTES:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} lacks {missing_bytes} bytes at its end")


def _matroska_bytes(file: BinaryIO) -> int:
    """Where the segment ends, in bytes; 0 where its length was never filled in."""
    _read_id(file)  # the EBML header stands before it
    length = _read_length(file)
    file.seek(length or 0, 1)
    if length is None or _read_id(file) != _SEGMENT:
        return 0
    length = _read_length(file)
    return 0 if length is None else file.tell() + length


def _read_id(file: BinaryIO) -> int:
    """Source: RFC 8794, section 5: as many bytes as the first one's leading zero bits say, kept as they are."""
    first = file.read(1)
    rest = _further_bytes(first)
    return int.from_bytes(first + file.read(rest), "big")


def _read_length(file: BinaryIO) -> int | None:
    """Source: RFC 8794, section 6: as an id without the marking bit; all ones stand for "not known"."""
    first = file.read(1)
    rest = _further_bytes(first)
    bits = 7 * (rest + 1)
    value = int.from_bytes(first + file.read(rest), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _further_bytes(first: bytes) -> int:
    return 8 - first[0].bit_length() if first and first[0] else 0


def _avi_bytes(file: BinaryIO) -> int:
    """Where the last of the file's RIFF lists ends: OpenDML puts one after the other."""
    end = 0
    while len(header := file.read(_RIFF_HEADER.size)) == _RIFF_HEADER.size:
        code, length = _RIFF_HEADER.unpack(header)
        if code != b"RIFF" or not length:
            break
        end = file.tell() + length
        file.seek(end + end % 2)
    return end


_LENGTHS: Mapping[str, Callable[[BinaryIO], int]] = {"matroska": _matroska_bytes, "avi": _avi_bytes}
