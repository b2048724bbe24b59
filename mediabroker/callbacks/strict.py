"""JSON from strangers: bounded before it is parsed, and refused where two readers could understand it differently."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from pydantic import JsonValue

from mediabroker.errors import MediaBrokerError

__all__ = ["DEPTH_LIMIT", "SIZE_LIMIT_BYTES", "PoisonError", "load_strictly"]

SIZE_LIMIT_BYTES = 1 << 20
"""Source: Amazon SQS Developer Guide, "Message quotas": 1 MiB; Alibaba MNS allows less."""
DEPTH_LIMIT = 64
_DIGITS_LIMIT = 40

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BOM = b"\xef\xbb\xbf"


class PoisonError(MediaBrokerError, ValueError):
    """The message cannot be understood, today or ever; the text says why and quotes nothing of it."""


def load_strictly(body: bytes) -> JsonValue:
    """The JSON value that `body` holds.

    Raises:
        PoisonError: over 1 MiB, nested deeper than 64, not UTF-8, not JSON; or with a duplicate key, a number that is
            not finite or longer than 40 digits, a lone surrogate, or a NUL, which no store could give back.
    """
    if len(body) > SIZE_LIMIT_BYTES:
        raise PoisonError(f"the message has {len(body)} bytes, more than {SIZE_LIMIT_BYTES}")
    _refuse_depth(body)
    try:
        text = body.removeprefix(_BOM).decode("utf-8")
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
        encoded = json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises on a lone surrogate
    except UnicodeError as error:
        raise PoisonError(f"the message is not UTF-8: {error.reason}") from None  # type: ignore[attr-defined]  # both subclasses have it
    except json.JSONDecodeError as error:
        raise PoisonError(f"the message is not JSON: {error.msg} at character {error.pos}") from None
    if _NUL.search(encoded):
        raise PoisonError("the message contains a NUL character")
    return value


def _refuse_depth(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", body)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > DEPTH_LIMIT:
            raise PoisonError(f"the message is nested deeper than {DEPTH_LIMIT}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PoisonError("the message names a key twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise PoisonError(f"the message holds {name}, which is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise PoisonError("the message holds a number beyond all bounds")
    return number


def _bounded(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT:
        raise PoisonError(f"the message holds an integer of {len(digits)} digits")
    return int(digits)
