"""Objects by URI, whatever holds them: `Stores.of(uri)` resolves the scheme, `Stores.copy(a, b)` works between any two.

`file://` is built in; other schemes come from the entry-point group `mediabroker.stores`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from threading import Lock
from typing import Any

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError, MissingDependencyError, UnsupportedError
from mediabroker.objects import ObjectStat, ObjectStore, nameable
from mediabroker.plugins import load_plugin
from mediabroker.refs import STORE_GROUP, MediaURI
from mediabroker.storage.file import FileStore

__all__ = ["Stores"]


class Stores:
    """The object stores of this process, each made when its scheme is first met. Thread-safe.

    Args:
        settings: by scheme, what the store's own plug-in understands: the tables `[stores.<scheme>]`.
        ready: stores by scheme, instead of those of plug-ins.
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        ready: Mapping[str, ObjectStore] | None = None,
    ) -> None:
        self._settings = settings or {}
        self._ready: Mapping[str, ObjectStore] = {"file": FileStore(), **(ready or {})}
        self._open = dict(self._ready)
        self._lock = Lock()

    def of(self, uri: MediaURI) -> ObjectStore:
        """The store that holds `uri`.

        Raises:
            UnsupportedError: no store is installed for the scheme.
            MissingDependencyError: the store needs an extra; the message names the `pip install`.
        """
        with self._lock:
            if uri.scheme not in self._open:
                self._open[uri.scheme] = self._make(uri)
            return self._open[uri.scheme]

    def _make(self, uri: MediaURI) -> ObjectStore:
        try:
            factory = load_plugin(STORE_GROUP, uri.scheme, what="object store", where=str(uri))
        except MissingDependencyError:
            raise
        except ConfigurationError as error:
            raise UnsupportedError(str(error)) from error
        store: ObjectStore = factory(self._settings.get(uri.scheme, {}))
        return store

    def copy(self, source: MediaURI, target: MediaURI, *, overwrite: bool = False) -> ObjectStat:
        """Copy one object; `target` appears whole or not at all.

        Raises:
            MediaError: `INPUT_NOT_FOUND`, `INPUT_DENIED`, `INPUT_CHANGED`, `OUTPUT_EXISTS` or `OUTPUT_DENIED`.
            ProviderError: a store cannot be asked now.
        """
        return self.of(target).write(target, self.of(source).read(source), overwrite=overwrite)

    def clear(self, folder: MediaURI) -> None:
        """Remove all objects below a URI that ends in `/`, and the folder where the store has such a thing.

        Raises:
            MediaError: `OUTPUT_DENIED`.
            ProviderError: the store cannot be asked now.
        """
        if folder.scheme == "file" and folder.path.is_symlink():
            raise MediaError(
                ErrorCode.OUTPUT_DENIED, f"{folder.path} is a link; a folder that is to be cleared must be none"
            )
        store = self.of(folder)
        for uri in list(nameable(store.list(folder))):
            store.delete(uri)
        if folder.scheme == "file":
            shutil.rmtree(folder.path, ignore_errors=True)  # what is left are empty folders

    def close(self) -> None:
        """Let go of connections; a store that is asked for again is made again."""
        with self._lock:
            opened, self._open = self._open, dict(self._ready)
        for store in opened.values():
            store.close()
