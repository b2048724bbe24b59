"""Alibaba Cloud: media processing (MPS), object storage (OSS), queues (MNS). Needs the extra `alibaba`.

Names load when they are first used, so that a command that lists plug-ins does not load the vendor's SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediabroker_alibaba.mns import MnsSource
    from mediabroker_alibaba.mns_client import MnsClient

__all__ = ["MnsClient", "MnsSource"]

_HOMES = {
    "MnsClient": "mns_client",
    "MnsSource": "mns",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
