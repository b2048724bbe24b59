"""One step that takes secrets out of every text that leaves: errors, logs, events, and what the store keeps.

Two kinds are known: the values of this process's own secret settings and credentials, and the forms in which anyone's
are written, such as a password in a URL, a signature in a query, an authorization header.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

__all__ = ["RedactingFilter", "keep_secret", "redact", "redact_value"]

T = TypeVar("T")

_MASK = "***"
_SHORTEST = 8
"""Shorter values occur in ordinary text; nothing that guards anything is so short."""
_known: set[str] = set()

_NAMES = (
    r"x-amz-security-token|x-amz-credential|x-amz-signature|x-oss-security-token|x-oss-credential|x-oss-signature|"
    r"x-acs-security-token|security-?token|session-?token|ossaccesskeyid|awsaccesskeyid|signature|sig|x-api-key|"
    r"api[_-]?key|secret[_-]?(?:access[_-]?)?key|access[_-]?key[_-]?secret|aws_secret_access_key|password|credential"
)
_FORMS = (
    (re.compile(r"(://)[^/\s?#@:]*:[^\s?#]*@"), rf"\1{_MASK}@"),
    (re.compile(rf"(?i)([?&](?:{_NAMES})=)[^&\s'\"<>]+"), rf"\1{_MASK}"),
    (re.compile(r"(?i)(\bauthorization['\"]?\s*[:=]\s*b?['\"]?)[^'\"\r\n]+"), rf"\1{_MASK}"),
    (re.compile(rf"(?i)(\b(?:{_NAMES})['\"]?\s*[:=]\s*b?['\"]?)[^\s'\",}}&<>\r\n]{{6,}}"), rf"\1{_MASK}"),
)


def keep_secret(value: str | None) -> None:
    """Have every text of this process masked that holds `value`, as it is or as it is written in a URL or in JSON."""
    if value and len(value) >= _SHORTEST and value != _MASK:
        _known.update((value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1]))


def redact(text: str) -> str:
    """Return the text with its secrets masked."""
    # The longest first, because one may begin with another. Sorting copies: other threads may add to the set.
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, _MASK)
    for form, masked in _FORMS:
        text = form.sub(masked, text)
    return text


def redact_value(value: T) -> T:
    """Return plain JSON values with the secrets of all their texts masked."""
    masked: Any = value
    if isinstance(value, str):
        masked = redact(value)
    elif isinstance(value, Mapping):
        masked = {name: redact_value(each) for name, each in value.items()}
    elif isinstance(value, list | tuple):
        masked = [redact_value(each) for each in value]
    return masked  # type: ignore[no-any-return]  # of the same shape


class RedactingFilter(logging.Filter):
    """Masks secrets in log records. Add it to a handler, so that it sees the records of every logger:

        handler.addFilter(RedactingFilter())

    At DEBUG the vendors' SDKs log whole requests: botocore its session tokens, Alibaba's its signatures.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's text and traceback, and let it pass."""
        try:
            text = record.getMessage()
        except Exception:  # a wrong format is its author's; raised here, it would end the caller that only logs
            text = f"{record.msg!r} {record.args!r}"
        record.msg, record.args = redact(text), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = redact(record.exc_text) if record.exc_text else record.exc_text
        record.exc_info = None  # formatters that show it in a way of their own would show it unmasked
        return True
