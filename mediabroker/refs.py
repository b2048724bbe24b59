"""Names of things outside this process: where media lies (`MediaURI`) and which job is meant (`JobRef`)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import posixpath
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, core_schema

from mediabroker.absent import Absent
from mediabroker.errors import InvalidJobError
from mediabroker.plugins import offered

__all__ = [
    "STORE_GROUP",
    "JobRef",
    "MediaURI",
    "MemberRef",
    "Scheme",
    "base32",
    "known_schemes",
    "new_job_id",
    "token_for",
]

Scheme = str
"""`file` and `https`, and each one that an installed package offers an object store for, such as `s3` and `oss`."""

STORE_GROUP = "mediabroker.stores"
"""The entry-point group of object stores, by URI scheme."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")
"""A container of a store that other packages bring; the store itself rejects names that it does not take."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_KEY_LIMIT_BYTES = 1024
"""Source: Amazon S3 User Guide, "Object key names"; Alibaba Cloud OSS, "Object naming": 1,023 or 1,024 bytes UTF-8."""


class MediaURI(str):
    """Where a media file is stored: `s3://bucket/key`, `oss://bucket/key`, `file:///path`, `https://host/path`.

    Other schemes are legal where an installed package offers an object store for them, as `scheme://bucket/key`.

    A `str` that is always a full URI. It also reads plain paths (relative ones against the working directory), which it
    normalises, and `oss://bucket.oss-region.aliyuncs.com/key`, whose region is kept in `region`. Keys of object
    stores are literal: `%`, `#` and `?` are ordinary characters in them.

    An https URI stays as it was written, query and all; `bucket` is its host and `key` its decoded path. It is for
    providers that fetch a file by themselves: no store reads or writes it, so it cannot be staged.

    Raises:
        InvalidJobError: empty, an unknown scheme, no bucket or key, a control character, a key over 1,024 bytes, or
            credentials inside an https URI; the message does not repeat credentials of any scheme.
    """

    scheme: Scheme
    bucket: str
    key: str
    region: str | None

    def __new__(cls, value: str | Path) -> MediaURI:
        if isinstance(value, cls):
            return value
        text = str(value)
        if not text.strip():
            raise InvalidJobError("a media URI is empty; give a path, s3://, oss://, file:// or https:// URI")
        _refuse_control_characters(text)
        scheme, separator, rest = text.partition("://")
        if not separator or "/" in scheme:
            return cls._from_path(text)
        if scheme == "file":
            return cls._from_path(unquote(_local_part(text, rest)))
        if scheme in ("s3", "oss"):
            return cls._from_object(scheme, rest)
        if scheme == "https":
            return cls._from_https(text)
        if scheme in offered(STORE_GROUP, "object store"):
            return cls._from_store(scheme, rest)
        raise InvalidJobError(
            f"media URI {_masked(text)!r} has the scheme {scheme!r}; use {', '.join(known_schemes())}, or install a "
            "package that offers an object store for it"
        )

    @classmethod
    def _make(cls, text: str, scheme: Any, bucket: str, key: str, region: str | None = None) -> MediaURI:
        _refuse_control_characters(key)  # again: percent signs may have hidden one
        uri = str.__new__(cls, text)
        uri.scheme, uri.bucket, uri.key, uri.region = scheme, bucket, key, region
        return uri

    @classmethod
    def _from_path(cls, text: str) -> MediaURI:
        # A trailing slash means "folder" to some kinds; abspath would drop it.
        folder = "/" if text.endswith("/") and text != "/" else ""
        # As text, because a Path forgets the "./" that keeps a name which begins with "~" a name.
        try:
            path = posixpath.normpath(Path(posixpath.expanduser(text)).absolute()) + folder
        except FileNotFoundError:
            raise InvalidJobError(f"{text!r:.200}: the working directory was deleted; give an absolute path") from None
        path = "/" + path.lstrip("/")  # POSIX lets two leading slashes stand, and one file would have two names
        return cls._make("file://" + quote(path), "file", "", path)

    @classmethod
    def _from_object(cls, scheme: str, rest: str) -> MediaURI:
        host, _, key = rest.partition("/")
        bucket, _, endpoint = host.partition(".oss-") if scheme == "oss" else (host, "", "")
        region = endpoint.partition(".")[0].removesuffix("-internal") or None
        if not _BUCKET.fullmatch(bucket):
            raise InvalidJobError(_no_bucket(scheme, bucket, rest))
        if not key:
            raise InvalidJobError(f"{scheme}://{rest}: the key after the bucket is missing")
        if len(key.encode()) > _KEY_LIMIT_BYTES:
            raise InvalidJobError(f"{scheme}://{bucket}/{key[:40]}…: the key is longer than {_KEY_LIMIT_BYTES} bytes")
        return cls._make(f"{scheme}://{host}/{key}", scheme, bucket, key, region)

    @classmethod
    def _from_store(cls, scheme: str, rest: str) -> MediaURI:
        bucket, _, key = rest.partition("/")
        if not _CONTAINER.fullmatch(bucket) or not key:
            raise InvalidJobError(f"media URI {_masked(f'{scheme}://{rest}')!r}: use {scheme}://bucket/key")
        return cls._make(f"{scheme}://{rest}", scheme, bucket, key)

    @classmethod
    def _from_https(cls, text: str) -> MediaURI:
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:  # it quotes what stands for host or port, which may be the half of a password
            raise InvalidJobError(
                f"media URI {_masked(text)!r}: host or port cannot be read; use https://host/path or "
                "https://host:8443/path"
            ) from None
        if not parts.hostname:
            raise InvalidJobError(f"media URI {_masked(text)!r} has no host; use https://host/path")
        if parts.username or parts.password:
            raise InvalidJobError(f"media URI {_masked(text)!r} carries credentials; they would end in logs and stores")
        return cls._make(text, "https", parts.hostname, unquote(parts.path.lstrip("/")))

    @property
    def path(self) -> Path:
        """The local path of a `file://` URI.

        Raises:
            InvalidJobError: the URI has another scheme.
        """
        if self.scheme != "file":
            raise InvalidJobError(f"{self} is not a local file")
        return Path(self.key)

    @property
    def name(self) -> str:
        """The last part of the path or key."""
        return posixpath.basename(self.key.rstrip("/"))

    @property
    def is_folder(self) -> bool:
        return self.key.endswith("/")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def parse(value: Any) -> MediaURI:
            if not isinstance(value, str | Path):
                raise ValueError("a media URI is a string or a path")  # noqa: TRY004  pydantic reads ValueError
            return cls(value)

        return core_schema.no_info_plain_validator_function(
            parse, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always")
        )


def known_schemes() -> list[str]:
    """Return every scheme that a `MediaURI` may have in this installation, sorted."""
    return sorted({"file", "https", *offered(STORE_GROUP, "object store")})


def _refuse_control_characters(text: str) -> None:
    if match := _CONTROL.search(text):
        raise InvalidJobError(f"media URI {_masked(text)!r} contains the control character {match.group()!r}")


def _local_part(text: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise InvalidJobError(f"{_masked(text)!r}: a file URI has three slashes, file:///absolute/path")
    return slash + path


def _no_bucket(scheme: str, bucket: str, rest: str) -> str:
    named = "***" if "@" in rest else bucket
    return (
        f"{_masked(f'{scheme}://{rest}')}: {named!r} is not a bucket name; those have 3 to 63 characters: lower-case "
        "letters, digits, hyphens and dots, with a letter or digit at either end"
    )


def _masked(text: str) -> str:
    # Up to the last @, for a password may hold @ and slashes. What is masked for nothing is only left out of a message.
    masked = re.sub(r"//.*@", "//***@", text, flags=re.DOTALL)
    return re.sub(r"\?.*", "?***", masked, flags=re.DOTALL) if masked.startswith("https:") else masked


class MemberRef(BaseModel):
    """One part of an attempt: its role there and the vendor's own id, or why there is no vendor job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(min_length=1)
    native_id: str = Field(min_length=1)
    absent: Absent | None = None

    @model_validator(mode="after")
    def _read_old_id(self) -> MemberRef:
        if self.absent is None and (absent := Absent.of_old_id(self.native_id)):
            object.__setattr__(self, "absent", absent)  # frozen to callers, not to its own construction
        return self

    def __str__(self) -> str:
        return f"{self.role}:{self.native_id}"


class JobRef(BaseModel):
    """Everything another process needs to find a job, printable in one line.

    `job:1/<provider>/<kind>/<job id>?account=…&region=…&member=<role>:<native id>…`. It works on another host and
    after the store is gone, because it names the provider instance, the account and region, and each of the vendor's
    own ids; a part without a vendor job is `absent=<its fields as JSON>`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: str = Field(min_length=1)
    provider: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    account: str | None = None
    region: str | None = None
    members: tuple[MemberRef, ...] = ()

    def __str__(self) -> str:
        path = "/".join(quote(part, safe="") for part in (self.provider, self.kind, self.job_id))
        query = [(name, value) for name, value in (("account", self.account), ("region", self.region)) if value]
        query += [
            ("absent", member.model_dump_json(exclude_none=True)) if member.absent else ("member", str(member))
            for member in self.members
        ]
        return f"job:1/{path}" + (f"?{urlencode(query)}" if query else "")

    @classmethod
    def parse(cls, text: str) -> JobRef:
        """Read what `str(ref)` printed.

        Raises:
            InvalidJobError: not a job reference, or one of a version that this release does not know.
        """
        version, _, rest = text.partition("/")
        if version != "job:1":
            raise InvalidJobError(f"{text!r} is not a job reference of version 1 (job:1/<provider>/<kind>/<id>)")
        path, _, query = rest.partition("?")
        parts = [unquote(part) for part in path.split("/")]
        if len(parts) != 3:
            raise InvalidJobError(f"{text!r}: a job reference names provider, kind and id")
        return cls._from_parts(text, parts, parse_qsl(query))

    @classmethod
    def _from_parts(cls, text: str, parts: list[str], query: list[tuple[str, str]]) -> JobRef:
        fields: dict[str, Any] = {name: value for name, value in query if name not in ("member", "absent")}
        try:
            members = [
                MemberRef.model_validate_json(value)
                if name == "absent"
                else dict(zip(("role", "native_id"), value.split(":", 1), strict=False))
                for name, value in query
                if name in ("member", "absent")
            ]
            return cls.model_validate(
                {**fields, "provider": parts[0], "kind": parts[1], "job_id": parts[2], "members": members}
            )
        except ValidationError as error:
            raise InvalidJobError(f"{text!r} is not a job reference: {error.errors()[0]['msg']}") from error


def new_job_id() -> str:
    """128 random bits in lower-case base32: fit for names at every vendor."""
    return base32(secrets.token_bytes(16))


def token_for(job_id: str, attempt: int, *, key: bytes | None = None) -> str:
    """Return the attempt's token: the same after every crash, unlike any other.

    With a `key` only its holders can compute it, and it begins with the version letter `v`. Without one it has the form
    of releases before schema 6, which anybody can compute.
    """
    named = f"{job_id}/{attempt}".encode()
    if key is None:
        return base32(hashlib.sha256(named).digest()[:16])
    return "v" + base32(hmac.new(key, named, hashlib.sha256).digest()[:16])


def base32(raw: bytes) -> str:
    """Lower-case base32 without padding."""
    return base64.b32encode(raw).decode().rstrip("=").lower()
