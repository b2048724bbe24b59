"""Objects that lie somewhere, and what every place for them can do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mediabroker.errors import InvalidJobError
from mediabroker.refs import MediaURI

__all__ = ["ObjectStat", "ObjectStore", "named"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectStat:
    """One stored object, looked at. `version` changes when the bytes do (an ETag, or device, inode, size and time)."""

    size_bytes: int
    version: str


class ObjectStore(Protocol):
    """Objects of one URI scheme. Names are never half-written: an object appears whole or not at all. Thread-safe.

    A factory `(settings) -> ObjectStore` is offered in the entry-point group `mediabroker.stores` under the scheme.

    Raises:
        MediaError: the object is not there, may not be touched, has changed, or is in the way.
        ProviderError: the store cannot be asked now.
    """

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        """The object, or None where there is none."""
        ...

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        """The object's bytes from `start` on, in chunks of at most a few MiB, all of one version."""
        ...

    def write(self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False) -> ObjectStat:
        """Store the chunks as one object; `MediaError(OUTPUT_EXISTS)` when it is there and `overwrite` is not set."""
        ...

    def delete(self, uri: MediaURI) -> None:
        """Remove the object; nothing happens where there is none."""
        ...

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        """All objects below a URI that ends in `/`, at any depth, in no order; none where there is no such folder."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def named(folder: MediaURI, found: Iterable[str | Path]) -> Iterator[MediaURI]:
    """The URIs of what a store has found below a folder.

    A name that no URI can stand for, as one with a control character, is left out, and logged: nothing here could have
    written it, and the rest of the folder is needed all the same.
    """
    for each in found:
        try:
            yield MediaURI(each)
        except InvalidJobError as error:
            _log.warning("an object is left out of a listing: %s", error, extra={"folder": folder})
