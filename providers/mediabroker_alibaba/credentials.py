"""Who is calling: the access key that signs, found where Alibaba Cloud's own tools look for it.

First the environment, unless a profile is named: `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and
`ALIBABA_CLOUD_SECURITY_TOKEN`. Then the profile in the shared credentials file, `$ALIBABA_CLOUD_CREDENTIALS_FILE` or
`~/.alibabacloud/credentials`:

    [default]
    type = access_key                  # or sts, with security_token
    access_key_id = LTAI...
    access_key_secret = ...

They are read when a client connects and again when the service says that they have expired. Secrets are in no setting,
so that no configuration, log or printed job ever holds one.
Source: Alibaba Cloud SDK for Python V2.0, "Manage access credentials", default credential chain and profiles.
"""

from __future__ import annotations

import os
from configparser import ConfigParser, Error
from dataclasses import dataclass, field
from pathlib import Path

from mediabroker.errors import AuthenticationError
from mediabroker.redaction import keep_secret

__all__ = ["Credentials", "find_credentials"]

_ENV = "ALIBABA_CLOUD_"
_NEEDED = {"access_key": (), "sts": ("security_token",)}
"""What each type of profile needs beside the key."""


@dataclass(frozen=True)
class Credentials:
    """An access key; with a security token it is a temporary one of STS. Printing it shows the key's id only."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        keep_secret(self.access_key_secret)
        keep_secret(self.security_token)


def find_credentials(profile: str | None = None) -> Credentials:
    """The credentials of the environment or of a profile.

    Raises:
        AuthenticationError: there are none, or the profile is incomplete or of a type that is not supported.
    """
    if profile is None and (found := _from_environment()):
        return found
    return _from_file(profile or os.environ.get(f"{_ENV}PROFILE") or "default")


def _from_environment() -> Credentials | None:
    key_id = os.environ.get(f"{_ENV}ACCESS_KEY_ID")
    secret = os.environ.get(f"{_ENV}ACCESS_KEY_SECRET")
    return Credentials(key_id, secret, os.environ.get(f"{_ENV}SECURITY_TOKEN") or None) if key_id and secret else None


def _from_file(profile: str) -> Credentials:
    given = os.environ.get(f"{_ENV}CREDENTIALS_FILE") or "~/.alibabacloud/credentials"
    path = Path(os.path.expanduser(given))  # noqa: PTH111  Path.expanduser raises RuntimeError for an unknown user
    parser = ConfigParser(interpolation=None)
    try:
        read = parser.read(path, encoding="utf-8")
    except (Error, OSError, UnicodeError) as error:
        # The parser quotes the line it fails at, which may be the secret.
        raise AuthenticationError(f"{path} cannot be read: {type(error).__name__}") from None
    if not read or not parser.has_section(profile):
        raise AuthenticationError(
            f"no Alibaba Cloud credentials: set {_ENV}ACCESS_KEY_ID and {_ENV}ACCESS_KEY_SECRET, "
            f"or write the profile [{profile}] into {path}"
        )
    return _from_section(dict(parser[profile]), f"{path}, profile [{profile}]")


def _from_section(section: dict[str, str], where: str) -> Credentials:
    kind = section.get("type", "access_key")
    if kind not in _NEEDED:
        raise AuthenticationError(f"{where}: type {kind!r} is not supported; use {' or '.join(_NEEDED)}")
    for name in ("access_key_id", "access_key_secret", *_NEEDED[kind]):
        if not section.get(name):
            raise AuthenticationError(f"{where}: {name} is missing")
    return Credentials(section["access_key_id"], section["access_key_secret"], section.get("security_token") or None)
