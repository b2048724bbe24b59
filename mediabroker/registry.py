"""Finds providers through the entry-point group `mediabroker.providers`, and loads one only when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mediabroker.errors import ConfigurationError, MissingDependencyError
from mediabroker.spi import Provider

__all__ = ["PROVIDER_GROUP", "create_provider", "provider_types"]

PROVIDER_GROUP = "mediabroker.providers"


def provider_types() -> dict[str, EntryPoint]:
    """The installed provider types by name, nothing loaded.

    Raises:
        ConfigurationError: two packages offer the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=PROVIDER_GROUP):
        if point.name in found and point.value != found[point.name].value:
            raise ConfigurationError(
                f"provider type {point.name!r} is offered twice: {found[point.name].value} and {point.value}"
            )
        found[point.name] = point
    return found


def create_provider(name: str, type_name: str, settings: Mapping[str, Any]) -> Provider:
    """The configured provider instance.

    Raises:
        ConfigurationError: no such type (with the nearest one named), or settings that the type refuses.
        MissingDependencyError: the type needs an extra; the message names the `pip install`.
    """
    known = provider_types()
    if type_name not in known:
        close = difflib.get_close_matches(type_name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; installed are {', '.join(sorted(known)) or 'none'}"
        raise ConfigurationError(f"providers.{name}: no provider type {type_name!r}{hint}")
    try:
        plugin = known[type_name].load()
    except ImportError as error:
        extra = known[type_name].name.partition("-")[0]
        raise MissingDependencyError(
            f"provider type {type_name!r} needs {error.name or 'a package'} that is not installed: "
            f"pip install 'mediabroker[{extra}]'"
        ) from error
    if not (isinstance(plugin, type) and issubclass(plugin, Provider)):
        raise ConfigurationError(f"provider type {type_name!r}: {known[type_name].value} is not a Provider class")
    return plugin(name, settings)
