"""torch, imported when it is needed: it is an extra, takes seconds to load, and types its functions differently from
one version to the next."""

from __future__ import annotations

from typing import Any

__all__ = ["import_torch"]


def import_torch() -> Any:
    """The torch package. The survey of runtimes has found it installed."""
    import torch  # noqa: PLC0415

    return torch
