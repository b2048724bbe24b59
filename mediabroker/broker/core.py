"""What every part of the broker works with: store, clock, settings, and the providers with their transports."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from threading import Lock
from typing import TypeVar

from mediabroker.broker.calling import Caller
from mediabroker.broker.following.mover import Mover
from mediabroker.clock import Clock
from mediabroker.config import BrokerSettings
from mediabroker.errors import ConfigurationError
from mediabroker.refs import token_for
from mediabroker.registry import connect, create_provider
from mediabroker.spi import Flow, Provider, Transport, drive
from mediabroker.storage import Stores
from mediabroker.store import Store

__all__ = ["Core", "Fleet"]

T = TypeVar("T")


class Fleet(Mapping[str, Provider]):
    """The configured provider instances by name, each made when it is first asked for, and their transports."""

    def __init__(self, settings: BrokerSettings, ready: Mapping[str, Provider] | None = None) -> None:
        self._settings = settings
        self._names = list(ready if ready is not None else settings.providers)
        self._providers: dict[str, Provider] = dict(ready or {})
        self._transports: dict[tuple[str, str], Transport] = {}
        self._lock = Lock()

    def __getitem__(self, name: str) -> Provider:
        if name not in self._names:
            raise KeyError(name)
        with self._lock:
            if name not in self._providers:
                configured = self._settings.providers[name]
                self._providers[name] = create_provider(name, configured.type, configured.own)
            return self._providers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def named(self, name: str) -> Provider:
        """The instance, or an error that lists the configured ones."""
        try:
            return self[name]
        except KeyError:
            configured = ", ".join(self._names) or "none"
            raise ConfigurationError(f"no provider instance {name!r} is configured; there are: {configured}") from None

    def transport(self, name: str, service: str) -> Transport:
        provider = self.named(name)
        with self._lock:
            if (name, service) not in self._transports:
                self._transports[name, service] = connect(provider, service)
            return self._transports[name, service]

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()


@dataclass(frozen=True)
class Core:
    """The broker's parts; `owner` names this process in leases."""

    store: Store
    fleet: Fleet
    stores: Stores
    clock: Clock
    settings: BrokerSettings
    mover: Mover = field(default_factory=Mover)
    owner: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_s)

    def token_for(self, job_id: str, attempt: int) -> str:
        """Return the token of an attempt, under the configured key or else the store's own."""
        configured = self.settings.token_key
        key = configured.get_secret_value().encode() if configured is not None else self.store.token_key
        return token_for(job_id, attempt, key=key)

    def converse(self, provider: str, flow: Flow[T]) -> T:
        """Drive a flow that creates nothing: every call is performed, reads are retried."""
        instance = self.fleet.named(provider)
        return drive(flow, lambda call: self.caller.perform(instance, call))

    @cached_property
    def caller(self) -> Caller:
        """Sends calls: at the vendor's rate, with retries."""
        return Caller(self.clock, self.fleet.transport)
