"""Checks the signature of a request by signing it again with botocore's own signer."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mediabroker_aws.simulator.batch.wire import WireError

__all__ = ["verify_signature"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_MUST_BE_SIGNED = frozenset({"host", "x-amz-date"})
_SKEW = timedelta(minutes=5)
_FORM = "%Y%m%dT%H%M%SZ"


def verify_signature(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Mapping[str, str],
    region: str,
    service: str = "batch",
) -> None:
    """Pass a request that was signed for `service` in `region` by somebody in `secrets` (access key to secret).

    Args:
        headers: by lower-case name.

    Raises:
        WireError: 403 with the code that AWS gives.
    """
    given = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if given is None:
        raise WireError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if given["key"] not in secrets:
        raise WireError(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    signed = given["headers"].split(";")
    if (given["region"], given["service"]) != (region, service) or not set(signed) >= _MUST_BE_SIGNED:
        raise WireError(403, "InvalidSignatureException", f"Credential should be scoped to {service} in {region}.")
    _check_time(headers["x-amz-date"], given["date"])
    request = AWSRequest(method, url, {name: headers.get(name, "") for name in signed}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(given["key"], secrets[given["key"]]), service, region)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if not hmac.compare_digest(expected, given["signature"]):
        raise WireError(403, "InvalidSignatureException", "The request signature we calculated does not match.")


def _check_time(stamp: str, date: str) -> None:
    try:
        at = datetime.strptime(stamp, _FORM).replace(tzinfo=timezone.utc)
    except ValueError:
        raise WireError(403, "IncompleteSignatureException", f"Date must be in ISO 8601: {stamp!r}") from None
    if abs(datetime.now(timezone.utc) - at) > _SKEW or not stamp.startswith(date):
        raise WireError(403, "InvalidSignatureException", f"Signature expired: {stamp} is too far from now.")
