"""Alibaba Cloud MPS passes the provider contract, with the vendor's real SDK against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker.testing.contract import ProviderContract
from mediabroker.testing.plugin import make_rig
from mediabroker.testing.rig import Rig


class TestAlibabaMps(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        with closing(make_rig("alibaba-mps", tmp_path)) as rig:
            yield rig
