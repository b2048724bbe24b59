"""The contract suite notices what is wrong: each defect of `defects.py` fails at least the check that names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from defusedxml import ElementTree

from mediabroker.testing.contract import ProviderContract
from tests.acme import installed
from tests.contract.caught_by import CAUGHT_BY

HERE = Path(__file__).parent
THIRD_PARTY = installed()

SUITE = """
import pytest
from contextlib import closing
from caught_by import CAUGHT_BY
from defects import BrokenRig
from mediabroker.testing.contract import ProviderContract

class TestBroken(ProviderContract):
    @pytest.fixture(params=CAUGHT_BY)
    def rig(self, request, tmp_path):
        with closing(BrokenRig(tmp_path, request.param)) as rig:
            yield rig
"""
SELECTION = """
from caught_by import CAUGHT_BY

def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.originalname == CAUGHT_BY.get(item.callspec.params["rig"])]
"""


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The defects whose check failed; all broken providers in one process."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "test_broken.py").write_text(SUITE)
    (folder / "conftest.py").write_text(SELECTION)
    report = folder / "report.xml"
    path = os.pathsep.join([str(HERE), str(THIRD_PARTY), *filter(None, sys.path)])
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "--rootdir", str(folder), "--junit-xml", str(report)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert report.exists(), run.stdout + run.stderr
    cases = ElementTree.parse(report).iter("testcase")
    failed = [case.get("name").rstrip("]") for case in cases if case.find("failure") is not None]
    return {word for name in failed for word in name.partition("[")[2].split("-")}


@pytest.mark.parametrize("defect", CAUGHT_BY)
def test_each_defect_is_caught_by_the_check_that_names_it(caught: set[str], defect: str) -> None:
    assert defect in caught, f"{CAUGHT_BY[defect]} passed a provider that {defect}"


def test_the_contract_has_at_least_forty_checks() -> None:
    assert len([name for name in dir(ProviderContract) if name.startswith("test_")]) >= 40


def test_a_check_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match="test_queries_only_read"):

        class TestCheating(ProviderContract):
            def test_queries_only_read(self) -> None:  # type: ignore[override]  # the point of the test
                """Say that all is well."""


@pytest.mark.parametrize("mark", [pytest.mark.xfail, pytest.mark.xfail(strict=True), pytest.mark.xfail(reason="hm")])
def test_an_xfail_must_be_strict_and_give_its_reason(mark: pytest.MarkDecorator) -> None:
    def excused(self: object) -> None:
        """Fail."""

    with pytest.raises(TypeError, match="strict"):
        type("TestLazy", (ProviderContract,), {"test_queries_only_read": mark(excused)})
    honest = pytest.mark.xfail(strict=True, reason="the vendor counts each look as a change")(excused)
    assert type("TestHonest", (ProviderContract,), {"test_queries_only_read": honest})


def test_a_check_cannot_be_removed() -> None:
    with pytest.raises(TypeError, match="test_queries_only_read"):
        type("TestBlind", (ProviderContract,), {"test_queries_only_read": None})
