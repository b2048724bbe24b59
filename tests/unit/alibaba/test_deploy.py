"""What `mediabroker deploy alibaba` prints: commands that the vendor's operations accept, and rights that suffice."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import mediabroker_alibaba
from mediabroker.errors import ConfigurationError
from mediabroker.spi.deployment import DeploymentPlan, load_deployment
from mediabroker_alibaba.deploy.policy import MPS_ACTIONS
from tests.unit.alibaba.mps_client import Place

PACKAGE = Path(mediabroker_alibaba.__file__).parent


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)  # the SDK heeds these and ignores NO_PROXY


@pytest.fixture
def place() -> Iterator[Place]:
    with closing(Place()) as place:
        yield place


def planned(**parameters: str) -> DeploymentPlan:
    return load_deployment("alibaba").plan(parameters, name="films", region="cn-shanghai")


def options_of(plan: DeploymentPlan, *words: str) -> dict[str, str]:
    """Return the options of the command that begins with these words."""
    (line,) = [
        each
        for each in map(shlex.split, [each for each in plan.commands if each[0] != "#"])
        if tuple(each[1 : 1 + len(words)]) == words
    ]
    rest = line[1 + len(words) :]
    return {name.removeprefix("--"): value for name, value in zip(rest[::2], rest[1::2], strict=True)}


def test_the_pipeline_command_is_accepted_by_the_vendors_operation(place: Place) -> None:
    options = options_of(planned(Bucket="my-media"), "mts", "AddPipeline")
    assert options.pop("region") == "cn-shanghai"
    made = place.client.call("AddPipeline", **options)
    assert json.loads(options["NotifyConfig"]) == {"QueueName": "films-events"}
    assert made["Pipeline"]["NotifyConfig"]["QueueName"] == "films-events"


def test_the_policy_allows_every_operation_that_the_provider_calls_and_no_other_service() -> None:
    sources = "".join(each.read_text() for each in (PACKAGE / "mps").glob("*.py"))
    called = set(re.findall(r'"((?:Submit|Query|List|Cancel)\w*(?:Jobs?|JobList))"', sources))
    assert called == set(MPS_ACTIONS)
    policy = json.loads(options_of(planned(Bucket="my-media"), "ram", "CreatePolicy")["PolicyDocument"])
    services = {action.partition(":")[0] for statement in policy["Statement"] for action in statement["Action"]}
    assert services == {"mts", "oss", "mns"}


def test_a_bucket_that_was_not_given_is_shown_as_needed() -> None:
    needed = [each.name for each in planned().parameters if each.value is None]
    assert needed == ["Bucket"]


@pytest.mark.parametrize("given", [{"Bucket": "My_Media"}, {"Topic": "t"}])
def test_a_parameter_that_cannot_be_is_refused_by_name(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        planned(**given)
