"""Who sent an MNS request: headers, clock, key, token, signature, digest, in the order in which the service looks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from mediabroker_alibaba.mns.signing import sign, string_to_sign
from mediabroker_alibaba.simulator.clock import MAX_SKEW
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.server import Request
from mediabroker_alibaba.simulator.tenants import Account
from mediabroker_alibaba.simulator.world import World

__all__ = ["authenticate"]

_AUTHORIZATION = re.compile(r"MNS ([^:]+):([A-Za-z0-9+/]{27}=)")
_HOST = re.compile(r"(\d+)\.mns\.")


def authenticate(world: World, request: Request) -> Account:
    """The account whose key signed the request.

    Raises:
        MnsRefusedError: why it is not believed.
    """
    if not request.header("x-mns-version"):
        raise MnsRefusedError("MissingVersionHeader")
    _check_time(request, world.clock.now())
    if not (authorization := request.header("authorization")):
        raise MnsRefusedError("MissingAuthorizationHeader")
    if not (given := _AUTHORIZATION.fullmatch(authorization)):
        raise MnsRefusedError("InvalidAuthorizationHeader")
    found = world.tenants.find(given[1])
    if found is None or not found[1].active:
        raise MnsRefusedError("InvalidAccessKeyId")
    account, pair = found
    token = request.header("security-token")
    if world.tenants.is_expired(pair) or not hmac.compare_digest(token.encode(), (pair.token or "").encode()):
        raise MnsRefusedError("InvalidSecurityToken")
    expected = sign(pair.access_key_secret, string_to_sign(request.method, request.target, request.headers))
    if not hmac.compare_digest(expected, given[2]):
        raise MnsRefusedError("SignatureDoesNotMatch")
    if (named := _HOST.match(request.header("host"))) and named[1] != account.id:
        raise MnsRefusedError("AccessDenied")
    _check_digest(request)
    return account


def _check_time(request: Request, now: datetime) -> None:
    stamp = request.header("x-mns-date") or request.header("date")
    if not stamp:
        raise MnsRefusedError("MissingDateHeader")
    try:
        at = parsedate_to_datetime(stamp)
    except (TypeError, ValueError):
        raise MnsRefusedError("InvalidDateHeader") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    if abs(now - at) > MAX_SKEW:
        raise MnsRefusedError("TimeExpired")


def _check_digest(request: Request) -> None:
    if not (given := request.header("content-md5")):
        return
    digest = hashlib.md5(request.body, usedforsecurity=False)
    # RFC 1864 encodes the 16 bytes; the vendor's SDKs encode their hexadecimal text.
    if given not in (_base64(digest.digest()), _base64(digest.hexdigest().encode())):
        raise MnsRefusedError("InvalidDegist")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
