"""What providers do with S3 objects while they submit and look: small reads, looks, and writes on condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mediabroker.errors import ErrorCode, MediaError, ProviderError
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.settings import S3Settings

__all__ = ["ObjectTransport"]

_TEXT_LIMIT_BYTES = 1 << 20


class ObjectTransport:
    """Performs `ReadMetadata`, `HeadObject`, `GetObject` and `PutObject` on objects named by URI. Thread-safe."""

    def __init__(self, settings: S3Settings) -> None:
        self._store = S3Store(settings.model_dump())
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Reply]] = {
            "ReadMetadata": self._read_metadata,
            "HeadObject": self._head,
            "GetObject": self._get,
            "PutObject": self._put,
        }

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`. What is wrong with an object is a refusal with the code that the job will have."""
        try:
            return self._operations[call.operation](call.params)
        except MediaError as error:
            raise ProviderError(
                error.error.message, provider="s3", operation=call.operation, provider_code=error.error.code.value
            ) from error

    def close(self) -> None:
        self._store.close()

    def _read_metadata(self, params: Mapping[str, Any]) -> Reply:
        from mediabroker_aws.metadata import read_metadata  # noqa: PLC0415  loads av, which only a submit needs

        return read_metadata(self._store, MediaURI(params["uri"]))

    def _head(self, params: Mapping[str, Any]) -> Reply:
        stat = self._store.stat(MediaURI(params["uri"]))
        return {"version": stat.version if stat else None}

    def _get(self, params: Mapping[str, Any]) -> Reply:
        """A small text; None where there is no object."""
        uri, body = MediaURI(params["uri"]), bytearray()
        try:
            for chunk in self._store.read(uri):
                body += chunk
                if len(body) > _TEXT_LIMIT_BYTES:
                    return {"body": None}
        except MediaError as error:
            if error.error.code is not ErrorCode.INPUT_NOT_FOUND:
                raise
            return {"body": None}
        return {"body": body.decode(errors="replace")}

    def _put(self, params: Mapping[str, Any]) -> Reply:
        """Write an object that nobody else writes: its name holds the attempt's token, so what is there is ours."""
        uri = MediaURI(params["uri"])
        try:
            return {"version": self._store.write(uri, iter([params["body"].encode()])).version}
        except MediaError as error:
            stat = self._store.stat(uri) if error.error.code is ErrorCode.OUTPUT_EXISTS else None
            if stat is None:
                raise
            return {"version": stat.version}
