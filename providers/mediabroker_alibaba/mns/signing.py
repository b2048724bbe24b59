"""How an MNS request is signed: over the method, three headers, all `x-mns-` headers and the target as it is sent.

Source: Alibaba Cloud Message Service, API reference, "Signature" (help 27487).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

__all__ = ["sign", "string_to_sign"]

_SIGNED = ("content-md5", "content-type", "date")


def string_to_sign(method: str, target: str, headers: Iterable[tuple[str, str]]) -> str:
    """What the signature is made of.

    Args:
        target: path and query exactly as in the request line; nothing of it is decoded or sorted.
        headers: in any order and capitalisation, values verbatim.
    """
    given = {name.lower(): value for name, value in headers}
    own = "".join(f"{name}:{given[name]}\n" for name in sorted(given) if name.startswith("x-mns-"))
    return "\n".join((method, *(given.get(name, "") for name in _SIGNED), own + target))


def sign(access_key_secret: str, text: str) -> str:
    """The Base64 of the text's HMAC-SHA1."""
    digest = hmac.new(access_key_secret.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
