"""Opens a message source by its URL: the scheme names the plug-in of the entry-point group `mediabroker.sources`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediabroker.errors import ConfigurationError
from mediabroker.messages import EventSource
from mediabroker.plugins import load_plugin

__all__ = ["SOURCE_GROUP", "open_source"]

SOURCE_GROUP = "mediabroker.sources"


def open_source(url: str, settings: Mapping[str, Mapping[str, Any]]) -> EventSource:
    """The queue at `url`. `settings` are the tables `[sources.<scheme>]`, by scheme.

    A plug-in that takes several schemes names the table that they share in its attribute `table`.

    Raises:
        ConfigurationError: not a URL, an unknown scheme, or what the plug-in refuses.
        MissingDependencyError: the plug-in needs an extra; the message names the `pip install`.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigurationError(f"source {url!r} is not a URL such as sqs://queue-name")
    factory = load_plugin(SOURCE_GROUP, scheme, what="message source", where=f"source {url!r}")
    source: EventSource = factory(url, settings.get(getattr(factory, "table", scheme), {}))
    return source
