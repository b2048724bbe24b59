"""The embedded default: jobs run on this machine, in processes that outlive the one that submitted them.

Names load when they are first used: the supervisor process lives in this package and must stay small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediabroker_local.provider import LocalProvider
    from mediabroker_local.settings import LocalOptions, LocalSettings

__all__ = ["LocalOptions", "LocalProvider", "LocalSettings"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mediabroker_local import provider, settings  # noqa: PLC0415  see the module's docstring

    return getattr(provider if name == "LocalProvider" else settings, name)
