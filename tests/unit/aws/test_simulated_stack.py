"""The sandbox's functions and paths are those of the template, with the names that things have in the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from mediabroker_aws.deploy.template import load_template
from mediabroker_aws.simulator import Function, LambdaFront, LambdaSimulator
from mediabroker_aws.simulator.stack import Stack

_QUEUE = "http://127.0.0.1:1/123456789012/media-events"


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack("mediabroker", bucket="media", queue_url=_QUEUE, region="us-west-2", account="123456789012")


@pytest.fixture(scope="module")
def functions(stack: Stack) -> dict[str, Function]:
    told = stack.functions({"AWS_REGION": "us-west-2"}, lambda _: None, lambda *_: None)
    return {each.name: each for each in told}


def test_every_function_of_the_template_is_there(functions: dict[str, Function]) -> None:
    declared = [each for each in load_template()["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    assert len(functions) == len(declared) > 0
    assert {each.handler for each in functions.values()} == {
        each["Properties"]["ImageConfig"]["Command"][0] for each in declared
    }
    assert functions["mediabroker-upscale"].timeout_s == 29
    assert functions["mediabroker-transcode-file"].memory_mb == 3008
    assert functions["mediabroker-transcode-file"].on_failure is not None
    assert functions["mediabroker-upscale"].on_failure is None


def test_records_of_failures_go_where_the_template_says(stack: Stack) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    named = stack.functions({}, lambda record: told.append(("the queue", record)), lambda *each: told.append(each))
    for function in named:
        if function.on_failure is not None:
            function.on_failure({"of": function.name})
    assert told == [
        ("the queue", {"of": "mediabroker-transcode"}),
        ("mediabroker-transcode", {"of": "mediabroker-transcode-file"}),
    ]


def test_environments_name_what_is_here_and_nothing_that_is_not(functions: dict[str, Function]) -> None:
    for each in functions.values():
        assert each.environment["AWS_REGION"] == "us-west-2"
        assert not [value for value in each.environment.values() if "<" in value]
    assert functions["mediabroker-upscale"].environment["MEDIABROKER_UPSCALE_BUCKET"] == "media"
    assert functions["mediabroker-upscale"].environment["MEDIABROKER_UPSCALE_QUEUE_SPOT"] == "mediabroker-spot"
    asked = functions["mediabroker-transcode"].environment
    assert asked["MEDIABROKER_TRANSCODE_WORKER"] == "mediabroker-transcode-file"
    assert asked["MEDIABROKER_TRANSCODE_QUEUE_URL"] == _QUEUE


def test_names_of_batch_and_the_rule_are_the_templates(stack: Stack) -> None:
    assert stack.queues == {"spot": "mediabroker-spot", "on_demand": "mediabroker-on-demand"}
    assert stack.job_definition == "mediabroker-upscale"
    assert stack.told_statuses == {"RUNNING", "SUCCEEDED", "FAILED"}


def test_paths_lead_to_their_functions(stack: Stack) -> None:
    routes: dict[tuple[str, str], str] = {}

    class Noting(LambdaFront):
        def add_route(self, method: str, path: str, function: str, **options: Any) -> str:
            routes[method, path] = function
            return super().add_route(method, path, function, **options)

    with Noting(LambdaSimulator()) as front:
        assert stack.add_routes(front) == f"{front.url}/prod"
    assert routes == {
        ("POST", "/prod/"): "mediabroker-upscale",
        ("GET", "/prod/jobs"): "mediabroker-upscale",
        ("GET", "/prod/jobs/{id}"): "mediabroker-upscale",
        ("DELETE", "/prod/jobs/{id}"): "mediabroker-upscale",
        ("POST", "/prod/videoTranscode"): "mediabroker-transcode",
    }
