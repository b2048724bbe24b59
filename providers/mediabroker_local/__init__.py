"""The embedded default: jobs run on this machine, in processes that outlive the one that submitted them.

Names load when they are first used: the supervisor process lives in this package and must stay small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediabroker_local.options import LocalOptions
    from mediabroker_local.provider import LocalProvider
    from mediabroker_local.settings import LocalSettings

__all__ = ["LocalOptions", "LocalProvider", "LocalSettings"]

_HOMES = {"LocalOptions": "options", "LocalProvider": "provider", "LocalSettings": "settings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
