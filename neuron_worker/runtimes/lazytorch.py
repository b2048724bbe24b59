"""torch, imported when it is needed: it is an extra, takes seconds to load, and types its functions differently from
one version to the next."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mediabroker.errors import MissingDependencyError

__all__ = ["import_torch", "torchscript"]


def import_torch() -> Any:
    """The torch package.

    Raises:
        MissingDependencyError: it is not installed or cannot be loaded, or safetensors is not.
    """
    try:
        import safetensors  # noqa: F401, PLC0415
        import torch  # noqa: PLC0415
    except (ImportError, OSError) as error:  # an OSError where a library that it links to is missing
        raise MissingDependencyError(f"`pip install 'mediabroker[torch]'` brings what is missing: {error}") from error
    return torch


@contextmanager
def torchscript() -> Iterator[Any]:
    """`torch.jit`, without the advice of newer versions to use something that no accelerator here takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit")  # of a category that changes from version to version
        yield import_torch().jit
