"""Alibaba Cloud: media processing (MPS), object storage (OSS), queues (MNS). Needs the extra `alibaba`.

Names load when they are first used, so that a command that lists plug-ins does not load the vendor's SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediabroker_alibaba.mns.client import MnsClient
    from mediabroker_alibaba.mns.source import MnsSource
    from mediabroker_alibaba.mps.provider import MpsProvider
    from mediabroker_alibaba.options import MpsOptions
    from mediabroker_alibaba.oss.store import OssStore

__all__ = ["MnsClient", "MnsSource", "MpsOptions", "MpsProvider", "OssStore"]

_HOMES = {
    "MnsClient": "mns.client",
    "MnsSource": "mns.source",
    "MpsOptions": "options",
    "MpsProvider": "mps.provider",
    "OssStore": "oss.store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
