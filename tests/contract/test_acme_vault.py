"""A third party's package, found through its metadata alone, passes the contract that the embedded default passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediabroker.testing.contract import ProviderContract
from mediabroker.testing.plugin import make_rig
from mediabroker.testing.rig import Rig
from tests.acme import installed

THIRD_PARTY = installed()


class TestAcmeVault(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
        monkeypatch.syspath_prepend(THIRD_PARTY)
        with closing(make_rig("acme-vault", tmp_path)) as rig:
            yield rig
