"""What the provider does with objects in OSS: look whether one is there, and write a small one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mediabroker.errors import MediaError, ProviderError
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply
from mediabroker_alibaba.oss.store import OssStore
from mediabroker_alibaba.settings import MpsSettings

__all__ = ["ObjectTransport"]


class ObjectTransport:
    """Performs `HeadObject` and `PutObject` on objects named by URI. Thread-safe."""

    def __init__(self, settings: MpsSettings) -> None:
        shared = settings.model_dump(include={"region", "profile", "connect_timeout_s", "read_timeout_s"})
        self._store = OssStore({**shared, "endpoint_url": settings.oss_endpoint_url})
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], Reply]] = {
            "HeadObject": self._head,
            "PutObject": self._put,
        }

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`. What is wrong with an object is a refusal with the code that the job will have."""
        try:
            return self._operations[call.operation](call.params)
        except MediaError as error:
            raise ProviderError(
                error.error.message, provider="oss", operation=call.operation, provider_code=error.error.code.value
            ) from error

    def close(self) -> None:
        self._store.close()

    def _head(self, params: Mapping[str, Any]) -> Reply:
        stat = self._store.stat(MediaURI(params["uri"]))
        return {"version": stat.version if stat else None}

    def _put(self, params: Mapping[str, Any]) -> Reply:
        body = str(params["body"]).encode()
        return {"version": self._store.write(MediaURI(params["uri"]), iter([body]), overwrite=True).version}
