"""The pytest plugin: the fixture `mediabroker`, and `--provider NAME` for the provider contract.

def test_publishes(mediabroker):
    job = mediabroker.submit(SuperResolution(input="s3://bucket/a.mp4", output="s3://bucket/o.mp4"))
    mediabroker.vendor.script(job, ["queued", ("running", 0.4), "preempted", "running", "succeeded"])
    assert str(job.result().outputs[0].uri) == "s3://bucket/o.mp4"
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mediabroker.testing.fixture import ScriptedBroker
    from mediabroker.testing.rig import Rig

__all__ = ["RIG_GROUP", "make_rig"]

RIG_GROUP = "mediabroker.contract_rigs"

# The asserts of the shipped checks explain themselves like those of any test.
pytest.register_assert_rewrite("mediabroker.testing.checks")


@pytest.fixture
def mediabroker(tmp_path: Path) -> Iterator[ScriptedBroker]:
    """A broker on one vendor that does as it is told; see `mediabroker.testing.scripted`."""
    from mediabroker.testing.fixture import ScriptedBroker  # pytest must start quickly

    with ScriptedBroker(tmp_path) as broker:
        yield broker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("mediabroker").addoption(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        dest="contract_providers",
        help="provider type to run mediabroker.testing.contract against; may be repeated",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "contract_provider" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("contract_providers")
    if not chosen:
        raise pytest.UsageError(f"choose with --provider whom to test; rigs are there for {_known()}")
    metafunc.parametrize("contract_provider", chosen)


def make_rig(provider: str, folder: Path) -> Rig:
    """The rig that an installed package offers for this provider type, working in `folder`."""
    found = {point.name: point for point in entry_points(group=RIG_GROUP)}
    if provider not in found:
        raise pytest.UsageError(f"no contract rig for {provider!r}; rigs are there for {_known()}")
    rig: Rig = found[provider].load()(folder)
    return rig


def _known() -> str:
    return ", ".join(sorted(point.name for point in entry_points(group=RIG_GROUP))) or "no provider"
