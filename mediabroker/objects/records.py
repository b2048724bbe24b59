"""Typed JSON records in an object store: created once, or replaced while they are as they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from mediabroker.errors import AuthenticationError, ErrorCode, MediaError, UnavailableError
from mediabroker.objects.store import ObjectStore
from mediabroker.refs import MediaURI

__all__ = ["Found", "Records"]

RecordT = TypeVar("RecordT")
ModelT = TypeVar("ModelT", bound=BaseModel)
Content = BaseModel | Mapping[str, Any]

_DENIED = frozenset({ErrorCode.INPUT_DENIED, ErrorCode.OUTPUT_DENIED})


@dataclass(frozen=True)
class Found(Generic[RecordT]):
    """A record, and the version that a replacement names."""

    record: RecordT
    version: str
    age_s: float | None = None
    """See `ObjectStat`."""


class Records:
    """Records below one folder. Thread-safe, and safe between processes: the store decides which writer is the first.

    Raises:
        AuthenticationError: the store does not permit reading or writing; it is not the fault of a job.
        MediaError: `WORKER_CRASHED`, there is something that is no such record.
        ProviderError: the store cannot be reached now.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store, self._folder = store, folder.rstrip("/")

    def below(self, name: str) -> Records:
        """Return the records of a subfolder."""
        return Records(self._store, f"{self._folder}/{name}")

    def uri(self, name: str) -> MediaURI:
        """Return where the record is."""
        return MediaURI(f"{self._folder}/{name}")

    def read(self, name: str, kind: type[RecordT]) -> RecordT | None:
        """Return the record, or None where there is none."""
        uri = self.uri(name)
        try:
            return TypeAdapter(kind).validate_json(b"".join(self._store.read(uri)))
        except ValidationError as error:
            raise MediaError(ErrorCode.WORKER_CRASHED, f"{uri} is not what this release writes") from error
        except MediaError as error:
            if error.error.code is ErrorCode.INPUT_NOT_FOUND:
                return None
            raise _explained(error, uri) from error

    def find(self, name: str, kind: type[RecordT]) -> Found[RecordT] | None:
        """Return the record with its version, or None where there is none.

        The version is read first: at worst the record is newer, and a replacement of that version is rejected.
        """
        uri = self.uri(name)
        try:
            stat = self._store.stat(uri)
        except MediaError as error:
            raise _explained(error, uri) from error
        record = self.read(name, kind) if stat is not None else None
        return Found(record, stat.version, stat.age_s) if stat is not None and record is not None else None

    def add(self, name: str, content: Content) -> str | None:
        """Write the record unless there is one; return its version, None if there is one."""
        return self._write(name, content)

    def keep(self, name: str, record: ModelT) -> ModelT | None:
        """Write the record unless there is one; return the one that is there then, None if it was deleted meanwhile."""
        return record if self.add(name, record) else self.read(name, type(record))

    def replace(self, name: str, content: Content, *, if_version: str) -> str | None:
        """Replace the record if its version still is `if_version`; return the new version, None if it is not."""
        return self._write(name, content, if_version=if_version)

    def put(self, name: str, content: Content) -> None:
        """Write the record, whether there is one or not."""
        self._write(name, content, overwrite=True)

    def delete(self, name: str) -> None:
        """Delete what is there, if anything."""
        self._store.delete(self.uri(name))

    def _write(self, name: str, content: Content, **condition: Any) -> str | None:
        uri = self.uri(name)
        try:
            return self._store.write(uri, iter([to_json(content, indent=1)]), **condition).version
        except MediaError as error:
            if error.error.code in (ErrorCode.OUTPUT_EXISTS, ErrorCode.INPUT_CHANGED):
                return None
            raise _explained(error, uri) from error


def _explained(error: MediaError, uri: MediaURI) -> Exception:
    if error.error.code is ErrorCode.INPUT_CHANGED:
        return UnavailableError(f"the record {uri.name} was replaced while it was read", provider=uri.scheme)
    if error.error.code not in _DENIED:
        return error
    return AuthenticationError(f"the record {uri.name}: {error.error.message}", provider=uri.scheme, operation=uri.name)
