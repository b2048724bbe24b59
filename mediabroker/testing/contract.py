"""The provider contract: one suite that every provider passes, the embedded default and any third party's alike.

Subclass it beside a rig:

    class TestFarm(ProviderContract):
        @pytest.fixture
        def rig(self, tmp_path):
            with closing(FarmRig(tmp_path)) as rig:
                yield rig

or offer the rig (any callable that makes one from a folder) in the entry-point group `mediabroker.contract_rigs` and
run `pytest --pyargs mediabroker.testing.contract --provider farm`.

A check is never quietly dropped: a subclass may override one only as a strict `xfail` that gives its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediabroker.testing.checks.cancelling import CancellingChecks
from mediabroker.testing.checks.declaring import DeclaringChecks
from mediabroker.testing.checks.observing import ObservingChecks
from mediabroker.testing.checks.speaking import SpeakingChecks
from mediabroker.testing.checks.submitting import SubmittingChecks
from mediabroker.testing.driver import Driver
from mediabroker.testing.plugin import make_rig
from mediabroker.testing.rig import Rig

__all__ = ["ProviderContract"]


# The checks are mixed in, subject by subject, because pytest collects by class and a provider should need only one.
class ProviderContract(DeclaringChecks, SubmittingChecks, ObservingChecks, CancellingChecks, SpeakingChecks):
    """All checks. A subclass supplies the fixture `rig`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, override in vars(cls).items():
            if name.startswith("test_") and hasattr(ProviderContract, name) and not _is_honest_xfail(override):
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a check of the contract; "
                    "mark it pytest.mark.xfail(strict=True, reason=...) and let it call super()"
                )

    @pytest.fixture
    def driver(self, rig: Rig) -> Iterator[Driver]:
        with Driver(rig.open()) as driver:
            yield driver


def _is_honest_xfail(override: object) -> bool:
    marks = getattr(override, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("strict") and mark.kwargs.get("reason") for mark in marks)


class TestProvider(ProviderContract):
    """The providers named with `--provider`."""

    @pytest.fixture
    def rig(self, contract_provider: str, tmp_path: Path) -> Iterator[Rig]:
        with closing(make_rig(contract_provider, tmp_path)) as rig:
            yield rig
