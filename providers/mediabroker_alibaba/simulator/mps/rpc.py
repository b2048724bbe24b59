"""The RPC gateway: a request's parameters, who sent it, and whether they signed it.

Source: Alibaba Cloud, "RPC API signature" (version 1.0); error codes of the RPC gateway.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote

from mediabroker_alibaba.simulator.clock import MAX_SKEW
from mediabroker_alibaba.simulator.mps.refusals import RpcError, missing
from mediabroker_alibaba.simulator.server import Request
from mediabroker_alibaba.simulator.tenants import Account, KeyPair
from mediabroker_alibaba.simulator.world import World

__all__ = ["build_string_to_sign", "mismatch", "read_params", "sign", "verify"]

_FORM_TYPE = "application/x-www-form-urlencoded"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def read_params(request: Request) -> dict[str, str]:
    """Query and form together, blank values kept: both take part in the signature."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    if request.header("Content-Type").lower().startswith(_FORM_TYPE):
        pairs += parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def build_string_to_sign(method: str, params: Mapping[str, str]) -> str:
    """What is signed; `Signature` itself takes no part."""
    pairs = sorted((name, value) for name, value in params.items() if name != "Signature")
    canonical = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs)
    return f"{method}&%2F&{_encode(canonical)}"


def sign(string_to_sign: str, secret: str) -> str:
    """The signature in Base64."""
    digest = hmac.new(f"{secret}&".encode(), string_to_sign.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _encode(text: str) -> str:
    return quote(text, safe="~")  # leaves letters, digits and -_.~


def verify(method: str, params: Mapping[str, str], world: World) -> Account:
    """Who sent a request: somebody known, now, once, and with the right secret.

    Raises:
        RpcError: 400, or 404 for an unknown key, with the gateway's code.
    """
    for name in ("AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"):
        if not params.get(name):
            raise missing(name)
    account, pair = _owner(params, world)
    if params["SignatureMethod"].upper() != "HMAC-SHA1" or params["SignatureVersion"] != "1.0":
        raise RpcError(400, "InvalidSignatureMethod", "Specified signature method is not supported.")
    if "Signature" not in params:
        raise RpcError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
    _check_time(params["Timestamp"], world)
    string_to_sign = build_string_to_sign(method, params)
    if not hmac.compare_digest(sign(string_to_sign, pair.access_key_secret), params["Signature"]):
        raise mismatch(string_to_sign)
    if not world.nonces.use(pair.access_key_id, params["SignatureNonce"]):
        raise RpcError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
    return account


def mismatch(string_to_sign: str) -> RpcError:
    """The refusal of a signature. The core SDK splits the message at its colon and fails where there is none."""
    return RpcError(
        400,
        "SignatureDoesNotMatch",
        f"Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}",
    )


def _owner(params: Mapping[str, str], world: World) -> tuple[Account, KeyPair]:
    found = world.tenants.find(params["AccessKeyId"])
    # A temporary pair is nobody's without its token.
    if found is None or (found[1].token is not None and "SecurityToken" not in params):
        raise RpcError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not found[1].active:
        raise RpcError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
    if params.get("SecurityToken", found[1].token) != found[1].token:
        raise RpcError(400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch.")
    if world.tenants.is_expired(found[1]):
        raise RpcError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    return found


def _check_time(stamp: str, world: World) -> None:
    try:
        at = datetime.strptime(stamp, _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        raise RpcError(
            400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."
        ) from None
    if abs(world.clock.now() - at) > MAX_SKEW:
        raise RpcError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
