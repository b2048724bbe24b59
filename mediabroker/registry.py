"""Finds providers through the entry-point group `mediabroker.providers`, and loads one only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from mediabroker.errors import ConfigurationError
from mediabroker.plugins import load_plugin, naming_extra, offered
from mediabroker.spi import Provider, Transport

__all__ = ["PROVIDER_GROUP", "connect", "create_provider", "provider_types"]

PROVIDER_GROUP = "mediabroker.providers"
_WHAT = "provider type"


def provider_types() -> dict[str, EntryPoint]:
    """The installed provider types by name, nothing loaded.

    Raises:
        ConfigurationError: two packages offer the same name.
    """
    return offered(PROVIDER_GROUP, _WHAT)


def create_provider(name: str, type_name: str, settings: Mapping[str, Any]) -> Provider:
    """The configured provider instance.

    Raises:
        ConfigurationError: no such type (with the nearest one named), or settings that the type refuses.
        MissingDependencyError: the type needs an extra; the message names the `pip install`.
    """
    plugin = load_plugin(PROVIDER_GROUP, type_name, what=_WHAT, where=f"providers.{name}")
    if not (isinstance(plugin, type) and issubclass(plugin, Provider)):
        raise ConfigurationError(
            f"provider type {type_name!r}: {provider_types()[type_name].value} is not a Provider class"
        )
    with naming_extra(provider_types()[type_name], _WHAT):
        return plugin(name, settings)


def connect(provider: Provider, service: str) -> Transport:
    """Return a transport of the provider.

    Raises:
        MissingDependencyError: it needs an extra; the message names the `pip install`.
    """
    point = provider_types().get(provider.type)
    if point is None:
        return provider.connect(service)
    with naming_extra(point, _WHAT):
        return provider.connect(service)
