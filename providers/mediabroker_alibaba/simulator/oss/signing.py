"""What OSS's two signatures are made of, V1 and V4.

Source: Alibaba Cloud OSS, API reference, "Add a signature to the header (V1)" and "(V4)", "Add a signature to the URL".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

__all__ = ["SUBRESOURCES", "canonical_v4", "sign_v1", "sign_v4", "string_to_sign_v1"]

_SIGNED_BY_V1 = """
    acl append asyncFetch bucketArchiveDirectRead bucketInfo callback callback-var cname comp continuation-token cors
    delete encryption endTime group httpsConfig img inventory inventoryId lifecycle link live location logging
    metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock qos qosInfo qosRequester
    redundancyTransition referer regionList replication replicationLocation replicationProgress requestPayment
    requesterQosInfo resourceGroup resourcePool resourcePoolBuckets resourcePoolInfo response-cache-control
    response-content-disposition response-content-encoding response-content-language response-content-type
    response-expires restore security-token sequential startTime stat status style styleName symlink tagging
    transferAcceleration uploadId uploads versionId versioning versions vod website worm wormExtend wormId
    x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-async-process
    x-oss-process x-oss-request-payer x-oss-traffic-limit
"""
SUBRESOURCES = frozenset(_SIGNED_BY_V1.split())
"""The query parameters that V1 signs; all others can be changed by whoever holds a signed URL."""

Query = Iterable[tuple[str, str]]


def string_to_sign_v1(method: str, resource: str, query: Query, headers: Mapping[str, str], date: str) -> str:
    """The text of V1.

    Args:
        resource: `/bucket/key`, the key decoded; `/bucket/`; `/`.
        query: decoded.
        headers: by lower-case name.
        date: of the headers, or the `Expires` of a signed URL.
    """
    own = "".join(f"{name}:{_text(headers[name])}\n" for name in sorted(headers) if name.startswith("x-oss-"))
    counted = sorted((name, value) for name, value in query if name in SUBRESOURCES)
    said = "&".join(f"{name}={value}" if value else name for name, value in counted)
    first = (method, headers.get("content-md5", ""), headers.get("content-type", ""), date)
    return "\n".join((*first, own + resource + (f"?{said}" if said else "")))


def sign_v1(secret: str, text: str) -> str:
    """The Base64 of the text's HMAC-SHA1."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def canonical_v4(
    method: str, resource: str, query: Query, headers: Mapping[str, str], *, additional: Iterable[str], payload: str
) -> str:
    """The canonical request of V4.

    Args:
        additional: lower-case names of headers that are signed although nothing demands it.
        payload: the hash that the client declares, `UNSIGNED-PAYLOAD` for all known ones.
    """
    extra = sorted(additional)
    signed = [
        name
        for name in sorted(headers)
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in extra
    ]
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in query)
    return "\n".join(
        (
            method,
            quote(resource, safe="/-_.~"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{_text(headers[name]).strip()}\n" for name in signed),
            ";".join(extra),
            payload,
        )
    )


def sign_v4(secret: str, canonical: str, *, stamp: str, region: str) -> str:
    """The signature in lower-case hexadecimal digits."""
    scope = f"{stamp[:8]}/{region}/oss/aliyun_v4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _text(value: str) -> str:
    """A header's value as its sender saw it: HTTP carries bytes, which the server reads as Latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace")


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
