"""Objects by URI, whatever holds them: `store_for(uri)` resolves the scheme, `copy(a, b)` works between any two."""

from __future__ import annotations

from collections.abc import Mapping

from mediabroker.errors import UnsupportedError
from mediabroker.refs import MediaURI
from mediabroker.spi import ObjectStat, ObjectStore
from mediabroker.storage.file import FileStore

__all__ = ["copy", "store_for"]

_STORES: Mapping[str, ObjectStore] = {"file": FileStore()}


def store_for(uri: MediaURI) -> ObjectStore:
    """The store that holds `uri`.

    Raises:
        UnsupportedError: no store is installed for the scheme.
    """
    try:
        return _STORES[uri.scheme]
    except KeyError:
        raise UnsupportedError(f"{uri}: no object store for {uri.scheme}:// is installed") from None


def copy(source: MediaURI, target: MediaURI, *, overwrite: bool = False) -> ObjectStat:
    """Copy one object; `target` appears whole or not at all.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, `INPUT_DENIED`, `OUTPUT_EXISTS` or `OUTPUT_DENIED`.
    """
    return store_for(target).write(target, store_for(source).read(source), overwrite=overwrite)
