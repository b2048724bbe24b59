"""Super-resolution over the service's HTTP endpoint passes the provider contract: gateway, function, Batch and all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker.testing.contract import ProviderContract
from mediabroker.testing.plugin import make_rig
from mediabroker.testing.rig import Rig


class TestAwsBatchService(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        with closing(make_rig("aws-batch-service", tmp_path)) as rig:
            yield rig
