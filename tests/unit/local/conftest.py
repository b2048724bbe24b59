"""A workshop for each test, one tiny clip for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import make_clip
from tests.unit.local.rig import Workshop


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "tiny.mp4")


@pytest.fixture
def shop(tmp_path: Path, tiny_clip: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path / "shop", tiny_clip)
    workshop.folder.mkdir()
    yield workshop
    workshop.close()
