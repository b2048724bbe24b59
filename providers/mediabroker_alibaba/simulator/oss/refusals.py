"""How the simulated OSS says no: codes with their HTTP status and the words that come with them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import NamedTuple

from mediabroker_alibaba.documents import build_document
from mediabroker_alibaba.simulator.server import Response

__all__ = ["OssRefusedError", "refusal_response"]


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class _Known(NamedTuple):
    status: int
    words: str


_KNOWN: Mapping[str, _Known] = {
    "AccessDenied": _Known(403, "You have no right to access this object because of bucket acl."),
    "BucketAlreadyExists": _Known(409, "The requested bucket name is not available."),
    "BucketNotEmpty": _Known(409, "The bucket has objects. Please delete them first."),
    "EntityTooSmall": _Known(400, "Your proposed upload smaller than the minimum allowed size."),
    "FileAlreadyExists": _Known(409, "The object you specified already exists and can not be overwritten."),
    "InternalError": _Known(500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": _Known(403, "The OSS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": _Known(400, "Invalid argument."),
    "InvalidBucketName": _Known(400, "The specified bucket is not valid."),
    "InvalidDigest": _Known(400, "The Content-MD5 you specified was invalid."),
    "InvalidObjectName": _Known(400, "The length of object name must be between 1 and 1023."),
    "InvalidPart": _Known(400, "One or more of the specified parts could not be found or the ETag does not match."),
    "InvalidPartOrder": _Known(400, "The list of parts was not in ascending order."),
    "InvalidRange": _Known(416, "The requested range cannot be satisfied."),
    "MalformedXML": _Known(400, "The XML you provided was not well-formed."),
    "MethodNotAllowed": _Known(405, "The specified method is not allowed against this resource."),
    "NoSuchBucket": _Known(404, "The specified bucket does not exist."),
    "NoSuchKey": _Known(404, "The specified key does not exist."),
    "NoSuchUpload": _Known(404, "The specified upload does not exist. The upload ID may be invalid."),
    "NotImplemented": _Known(501, "A header or query you provided implies functionality that is not implemented."),
    "NotModified": _Known(304, ""),
    "ObjectNotAppendable": _Known(409, "The object is not appendable."),
    "PositionNotEqualToLength": _Known(409, "Position is not equal to file length."),
    "PreconditionFailed": _Known(412, "At least one of the pre-conditions you specified did not hold."),
    "RequestTimeTooSkewed": _Known(403, "The difference between the request time and the current time is too large."),
    "SecurityTokenExpired": _Known(403, "The security token you provided has expired."),
    "InvalidSecurityToken": _Known(403, "The security token you provided is invalid."),
    "SignatureDoesNotMatch": _Known(
        403, "The request signature we calculated does not match the signature you provided."
    ),
    "TooManyRequests": _Known(503, "Please reduce your request rate."),
}
"""Source: Alibaba Cloud OSS, API reference, "Error responses"; the words are abridged."""


class OssRefusedError(Exception):
    """An error answer.

    Args:
        more: further elements of its document, as `Endpoint`.
        headers: further headers, as the position that an append should have had.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        more: Mapping[str, str] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.code, self.message = code, message or _KNOWN[code].words
        self.status = _KNOWN[code].status
        self.more, self.headers = more or {}, headers
        super().__init__(f"{code}: {self.message}")


def refusal_response(refused: OssRefusedError, method: str, request_id: str, host: str) -> Response:
    """The answer. One to HEAD has no body; its document travels in `x-oss-err`, where the vendor's SDKs look for it."""
    fields = {"Code": refused.code, "Message": refused.message, "RequestId": request_id, "HostId": host, **refused.more}
    # A key may hold what XML cannot carry.
    document = build_document("Error", {name: _CONTROL.sub("?", text) for name, text in fields.items()})
    headers = (("Content-Type", "application/xml"), ("x-oss-request-id", request_id), *refused.headers)
    if method == "HEAD":
        headers += (("x-oss-err", base64.b64encode(document).decode()),)
    return Response(refused.status, headers, b"" if method == "HEAD" or refused.status == 304 else document)
