"""How MPS refuses: codes, HTTP statuses and sentences.

Source: ApsaraVideo for Media Processing, "Common errors" (2021) and the RPC gateway's error tables. MPS documents no
HTTP statuses of its own; this simulator answers 403 to `PermissionDenied.*` and `InvalidIdentity.*`, and 400 otherwise.
"""

from __future__ import annotations

__all__ = ["RpcError", "invalid", "missing"]

_SENTENCES = {
    "": 'The specified parameter "{}" is invalid.',
    "NullValue": 'The specified parameter "{}" cannot be null.',
    "EmptyValue": 'The specified parameter "{}" cannot be empty.',
    "InvalidState": 'The state of the specified "{}" does not allow this operation.',
    "NotSupported": 'The specified parameter "{}" is not supported.',
    "OutOfRange": 'The specified parameter "{}" is out of range.',
    "Format": 'The format of the specified parameter "{}" is invalid.',
    "NumberFormatInvalid": 'The specified parameter "{}" is not a valid number.',
    "ResourceNotFound": 'The resource operated "{}" cannot be found.',
    "JsonFormatInvalid": 'The parameter "{}" does not conform to the JSON specification.',
    "JsonObjectFormatInvalid": 'The parameter "{}" does not conform to the JSON Object specification.',
    "JsonArrayFormatInvalid": 'The parameter "{}" does not conform to the JSON Array specification.',
    "UUIDFormatInvalid": 'The specified parameter "{}" must be 32 characters from a-f and 0-9.',
    "BucketNameInvalid": 'The specified bucket name of "{}" is invalid.',
    "LocationInvalid": 'The specified location of "{}" is invalid.',
    "ObjectKeyInvalid": 'The specified object key of "{}" is invalid.',
    "TemplateNotFound": 'The specified template "{}" cannot be found.',
    "ListSizeExceed": 'The size of the list "{}" exceeds its limit.',
    "ServiceNotSupportRegion": 'The service does not support the region "{}".',
}


class RpcError(Exception):
    """A refusal: HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


def missing(name: str) -> RpcError:
    """A required parameter is absent."""
    return RpcError(400, f"Missing{name}", f"{name} is mandatory for this action.")


def invalid(name: str, kind: str = "") -> RpcError:
    """A parameter is there and wrong; `kind` is what follows `InvalidParameter.`."""
    return RpcError(400, f"InvalidParameter{'.' if kind else ''}{kind}", _SENTENCES[kind].format(name))
