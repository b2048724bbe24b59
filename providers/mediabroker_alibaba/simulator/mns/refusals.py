"""How the simulated MNS says no: codes with their HTTP status and the words that come with them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MnsRefusedError"]

_STATUS: Mapping[str, int] = {
    **dict.fromkeys(("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurityToken"), 403),
    **dict.fromkeys(("QueueNotExist", "MessageNotExist", "TopicNotExist", "SubscriptionNotExist"), 404),
    **dict.fromkeys(("TimeExpired",), 408),
    **dict.fromkeys(("QueueAlreadyExist", "TopicAlreadyExist", "SubscriptionAlreadyExist"), 409),
    **dict.fromkeys(("InternalError",), 500),
}
"""All others are 400. Source: MNS, API reference, "Error codes" (help 27501)."""

_WORDS: Mapping[str, str] = {
    "AccessDenied": "The OwnerId that your Access Key Id associated to is forbidden for this operation.",
    "InvalidAccessKeyId": "The AccessKey Id you provided is not exist.",
    "InvalidAuthorizationHeader": "The Authorization header format is invalid.",
    "InvalidDateHeader": "The Date header format is invalid.",
    "InvalidDegist": "The Content-MD5 you specified is invalid.",
    "InvalidQueueName": "The queue name you provided is invalid.",
    "InvalidRequestURL": "Http request URL format invalid.",
    "InvalidSecurityToken": "The security token you provided is invalid or has expired.",
    "InternalError": "Internal error.",
    "MalformedXML": "The XML you provided is not well-formed.",
    "MessageNotExist": "Message not exist.",
    "MissingAuthorizationHeader": "Authorization header is required.",
    "MissingDateHeader": "Date header is required.",
    "MissingReceiptHandle": "ReceiptHandle is required.",
    "MissingVersionHeader": "x-mns-version header is required.",
    "MissingVisibilityTimeout": "VisibilityTimeout is required.",
    "QpsLimitExceeded": "The qps limit is exceeded.",
    "QueueAlreadyExist": "The queue you want to create is already exist.",
    "QueueNameLengthError": "The queue name length should be between 1 and 120.",
    "QueueNotExist": "The queue name you provided is not exist.",
    "ReceiptHandleError": "The receipt handle you provide is not valid.",
    "SignatureDoesNotMatch": "The request signature we calculated does not match the signature you provided.",
    "SubscriptionAlreadyExist": "The subscription you want to create is already exist.",
    "SubscriptionNotExist": "The subscription you provided is not exist.",
    "TimeExpired": "The http request you sent is expired.",
    "TopicAlreadyExist": "The topic you want to create is already exist.",
    "TopicNotExist": "The topic name you provided is not exist.",
}


class MnsRefusedError(Exception):
    """An error answer."""

    def __init__(self, code: str, message: str | None = None) -> None:
        self.code, self.message = code, message or _WORDS.get(code, code)
        self.status = _STATUS.get(code, 400)
        super().__init__(f"{code}: {self.message}")
