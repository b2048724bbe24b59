"""Transcodes on AWS Lambda pass the provider contract, through the real service behind the simulated gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker.testing.contract import ProviderContract
from mediabroker.testing.plugin import make_rig
from mediabroker.testing.rig import Rig


class TestAwsLambda(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        with closing(make_rig("aws-lambda", tmp_path)) as rig:
            yield rig
