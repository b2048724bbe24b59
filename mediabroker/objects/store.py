"""Objects that lie somewhere, and what every place for them can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mediabroker.errors import ErrorCode, InvalidJobError, MediaError
from mediabroker.refs import MediaURI

__all__ = ["ObjectStat", "ObjectStore", "UnnameableError", "nameable", "named"]


class UnnameableError(MediaError):
    """A folder holds names that no URI can stand for, as one with a control character; all others were listed."""


@dataclass(frozen=True)
class ObjectStat:
    """One stored object, looked at. `version` changes when the bytes do (an ETag, or device, inode, size and time)."""

    size_bytes: int
    version: str
    age_s: float | None = field(default=None, compare=False)
    """How long ago it was written, by the store's own clock; None where the store was not asked, or does not say."""


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

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        """Store the chunks as one object.

        Args:
            overwrite: replace an object that is there.
            if_version: replace the object only while its version is this one, see `ObjectStat`. Of several writers
                that name one version, exactly one succeeds.

        Raises:
            MediaError: `OUTPUT_EXISTS`, it is there, and neither `overwrite` nor `if_version` is set; `INPUT_CHANGED`,
                its version is not `if_version`, or it is gone.
            UnsupportedError: the store has no such condition; nothing was written.
        """
        ...

    def delete(self, uri: MediaURI) -> None:
        """Remove the object; nothing happens where there is none."""
        ...

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        """All objects below a URI that ends in `/`, at any depth, in no order; none where there is no such folder.

        Raises:
            UnnameableError: after all others, because of names that no URI can stand for.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def named(folder: MediaURI, found: Iterable[str | Path]) -> Iterator[MediaURI]:
    """Yield the URIs of what a store has found below a folder.

    Raises:
        UnnameableError: `PROVIDER_INTERNAL`, after all that can be named. Nothing here writes such names, and a caller
            that must not leave one out, as a delivery, has to know of it.
    """
    refusal = None
    for each in found:
        try:
            yield MediaURI(each)
        except InvalidJobError as error:
            refusal = refusal or error
    if refusal is not None:
        raise UnnameableError(
            ErrorCode.PROVIDER_INTERNAL, f"{folder} holds a name that no URI can stand for: {refusal}", retryable=False
        )


def nameable(listing: Iterable[MediaURI]) -> Iterator[MediaURI]:
    """Yield what is listed, and pass over names that no URI can stand for: for folders that others write into, too."""
    with suppress(UnnameableError):
        yield from listing
