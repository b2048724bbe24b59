"""MPS's operations, performed; `mps_objects` holds the rest of the provider's I/O."""

from __future__ import annotations

from typing import Any

from mediabroker.spi import Call, Reply
from mediabroker_alibaba.mps.client import MpsClient
from mediabroker_alibaba.settings import MpsSettings

__all__ = ["MpsTransport"]


class MpsTransport:
    """Performs MPS's own operations. Thread-safe."""

    def __init__(self, settings: MpsSettings) -> None:
        self._client = MpsClient(settings)

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`."""
        return self._client.send(call.operation, call.params, creates=call.effect == "create")

    def close(self) -> None:
        self._client.close()
