"""Who sent an OSS request: signature V1 or V4, in a header or in the URL, or nobody, where anybody may."""

from __future__ import annotations

import hmac
import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from mediabroker_alibaba.simulator.clock import MAX_SKEW
from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.requests import Ask
from mediabroker_alibaba.simulator.oss.signing import canonical_v4, sign_v1, sign_v4, string_to_sign_v1
from mediabroker_alibaba.simulator.tenants import Account, KeyPair
from mediabroker_alibaba.simulator.world import World

__all__ = ["authenticate"]

_V1 = re.compile(r"OSS (?P<key>[^:]+):(?P<signature>\S+)")
_V4 = re.compile(
    r"OSS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/oss/aliyun_v4_request, ?"
    r"(?:AdditionalHeaders=(?P<additional>[^,]*), ?)?Signature=(?P<signature>[0-9a-f]{64})"
    r"(?:, ?AdditionalHeaders=(?P<later>[^,]*))?"
)
_STAMP = "%Y%m%dT%H%M%SZ"
_WEEK_S = 604_800


def authenticate(world: World, ask: Ask, region: str) -> Account | None:
    """The account whose key signed the request; None: nobody claims to have sent it.

    Raises:
        OssRefusedError: why it is not believed.
    """
    authorization = ask.headers.get("authorization", "")
    if authorization.startswith("OSS4-HMAC-SHA256 "):
        return _header_v4(world, ask, region, authorization)
    if authorization:
        return _header_v1(world, ask, authorization)
    if ask.query.get("x-oss-signature-version") == "OSS4-HMAC-SHA256":
        return _url_v4(world, ask, region)
    if "OSSAccessKeyId" in ask.query and "Signature" in ask.query:
        return _url_v1(world, ask)
    return None


def _header_v1(world: World, ask: Ask, authorization: str) -> Account:
    if not (given := _V1.fullmatch(authorization)):
        raise OssRefusedError("InvalidArgument", "Authorization header is invalid.")
    date = ask.headers.get("x-oss-date") or ask.headers.get("date", "")
    _check_skew(_http_date(date), world.clock.now())
    account, pair = _owner(world, given["key"], ask.headers.get("x-oss-security-token", ""))
    text = string_to_sign_v1(ask.method, ask.resource, ask.query.items(), ask.headers, date)
    _compare(given["signature"], sign_v1(pair.access_key_secret, text), text, pair)
    return account


def _url_v1(world: World, ask: Ask) -> Account:
    expires = ask.query.get("Expires", "")
    if not expires.isdecimal():
        raise OssRefusedError("InvalidArgument", "Expires is not a number.")
    if world.clock.now().timestamp() > int(expires):
        raise OssRefusedError("AccessDenied", "Request has expired.")
    account, pair = _owner(world, ask.query["OSSAccessKeyId"], ask.query.get("security-token", ""))
    text = string_to_sign_v1(ask.method, ask.resource, ask.query.items(), ask.headers, expires)
    _compare(ask.query["Signature"], sign_v1(pair.access_key_secret, text), text, pair)
    return account


def _header_v4(world: World, ask: Ask, region: str, authorization: str) -> Account:
    if not (given := _V4.fullmatch(authorization)):
        raise OssRefusedError("InvalidArgument", "Authorization header is invalid.")
    stamp = ask.headers.get("x-oss-date", "")
    _check_skew(_stamped(stamp, given["date"]), world.clock.now())
    _check_region(given["region"], region)
    account, pair = _owner(world, given["key"], ask.headers.get("x-oss-security-token", ""))
    payload = ask.headers.get("x-oss-content-sha256", "")
    additional = [each for each in (given["additional"] or given["later"] or "").split(";") if each]
    text = canonical_v4(
        ask.method, ask.resource, ask.query.items(), ask.headers, additional=additional, payload=payload
    )
    _compare(given["signature"], sign_v4(pair.access_key_secret, text, stamp=stamp, region=region), text, pair)
    return account


def _url_v4(world: World, ask: Ask, region: str) -> Account:
    credential = ask.query.get("x-oss-credential", "").split("/")
    if len(credential) != 5 or credential[3:] != ["oss", "aliyun_v4_request"]:
        raise OssRefusedError("InvalidArgument", "x-oss-credential is invalid.")
    stamp, lifetime = ask.query.get("x-oss-date", ""), ask.query.get("x-oss-expires", "")
    if not lifetime.isdecimal() or not 1 <= int(lifetime) <= _WEEK_S:
        raise OssRefusedError("InvalidArgument", "x-oss-expires must be between 1 and 604800.")
    begins = _stamped(stamp, credential[1])
    if not begins - MAX_SKEW <= world.clock.now() <= begins + timedelta(seconds=int(lifetime)):
        raise OssRefusedError("AccessDenied", "Request has expired.")
    _check_region(credential[2], region)
    account, pair = _owner(world, credential[0], ask.query.get("x-oss-security-token", ""))
    query = [(name, value) for name, value in ask.query.items() if name != "x-oss-signature"]
    additional = [each for each in ask.query.get("x-oss-additional-headers", "").split(";") if each]
    text = canonical_v4(ask.method, ask.resource, query, ask.headers, additional=additional, payload="UNSIGNED-PAYLOAD")
    given = ask.query.get("x-oss-signature", "")
    _compare(given, sign_v4(pair.access_key_secret, text, stamp=stamp, region=region), text, pair)
    return account


def _owner(world: World, access_key_id: str, token: str) -> tuple[Account, KeyPair]:
    found = world.tenants.find(access_key_id)
    if found is None or not found[1].active:
        raise OssRefusedError("InvalidAccessKeyId")
    if not hmac.compare_digest(token.encode(), (found[1].token or "").encode()):
        raise OssRefusedError("InvalidSecurityToken")
    if world.tenants.is_expired(found[1]):
        raise OssRefusedError("SecurityTokenExpired")
    return found


def _compare(given: str, expected: str, text: str, pair: KeyPair) -> None:
    if not hmac.compare_digest(given.encode(), expected.encode()):
        more = {"OSSAccessKeyId": pair.access_key_id, "SignatureProvided": given, "StringToSign": _printable(text)}
        raise OssRefusedError("SignatureDoesNotMatch", more=more)


def _printable(text: str) -> str:
    return "".join(each if each >= " " or each == "\n" else "?" for each in text)


def _check_region(given: str, region: str) -> None:
    if given != region:
        raise OssRefusedError("InvalidArgument", f"Invalid signing region in Authorization header, expected {region}.")


def _check_skew(at: datetime, now: datetime) -> None:
    if abs(now - at) > MAX_SKEW:
        raise OssRefusedError("RequestTimeTooSkewed")


def _http_date(text: str) -> datetime:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        raise OssRefusedError("AccessDenied", "The Date header is missing or invalid.") from None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _stamped(stamp: str, date: str) -> datetime:
    try:
        at = datetime.strptime(stamp, _STAMP).replace(tzinfo=timezone.utc)
    except ValueError:
        raise OssRefusedError("InvalidArgument", "x-oss-date is missing or invalid.") from None
    if not stamp.startswith(date):
        raise OssRefusedError("InvalidArgument", "x-oss-date and the credential's date differ.")
    return at
