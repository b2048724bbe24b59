"""JSON records in an object store, of which only the first writer writes each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import AuthenticationError, ErrorCode, MediaError
from mediabroker.objects.store import ObjectStore
from mediabroker.refs import MediaURI

__all__ = ["Records"]


class Records:
    """Records below one folder. Thread-safe, and safe between processes: the store decides which writer is the first.

    Raises:
        AuthenticationError: the store does not permit reading or writing; it is not the fault of a job.
        ProviderError: the store cannot be reached now.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store, self._folder = store, folder.rstrip("/")

    def below(self, name: str) -> Records:
        """Return the records of a subfolder."""
        return Records(self._store, f"{self._folder}/{name}")

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the record, or None where there is none."""
        try:
            body = b"".join(self._store.read(self._uri(name)))
        except MediaError as error:
            if error.error.code is ErrorCode.INPUT_NOT_FOUND:
                return None
            raise _denied(error, self._uri(name)) from error
        content: dict[str, Any] = json.loads(body)
        return content

    def add(self, name: str, content: Mapping[str, JsonValue]) -> bool:
        """Write the record unless there is one; return whether this call has written it."""
        body = json.dumps(content, sort_keys=True).encode()
        try:
            self._store.write(self._uri(name), iter([body]))
        except MediaError as error:
            if error.error.code is ErrorCode.OUTPUT_EXISTS:
                return False
            raise _denied(error, self._uri(name)) from error
        return True

    def _uri(self, name: str) -> MediaURI:
        return MediaURI(f"{self._folder}/{name}.json")


def _denied(error: MediaError, uri: MediaURI) -> AuthenticationError:
    return AuthenticationError(f"the record {uri.name}: {error.error.message}", provider=uri.scheme, operation=uri.name)
