"""What functions and workers read from their environment, and what the stack puts there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from mediabroker_aws.batch import requests as batch_requests
from mediabroker_aws.deploy.deployment import AwsDeployment
from mediabroker_aws.deploy.template import Template
from tests.unit.aws.calls import modules_below, reachable
from tests.unit.aws.stack import make_template, of_type

_OURS = re.compile(r"(?:MEDIABROKER|AWS)(?:_[A-Z0-9]+)+")
_BY_LAMBDA = {"AWS_REGION"}
"""Source: AWS Lambda Developer Guide, "Defined runtime environment variables"."""
_BY_BATCH = re.compile(r"AWS_BATCH_JOB_\w+")
_PER_JOB = {"MEDIABROKER_TASK", "MEDIABROKER_MANIFEST", batch_requests.ORIGIN}
_LEFT_AT_ITS_DEFAULT = {"MEDIABROKER_THREADS", "MEDIABROKER_CLAIM_PATIENCE_S"}
_OF_THE_OTHER = {"TranscodeWorker": {"MEDIABROKER_TRANSCODE_WORKER", "MEDIABROKER_TRANSCODE_BUDGET_S"}}
"""Two functions share one class of settings; these are of the one that is asked."""
_FUNCTIONS = ("UpscaleFunction", "TranscodeFunction", "TranscodeWorker")


@pytest.fixture(scope="module")
def template() -> Template:
    return make_template()


def _constants(module: str) -> Iterator[str]:
    """Names of variables that stand in a module's source as constants of their own."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _OURS.fullmatch(node.value):
            yield node.value


def _settings(module: str) -> Iterator[str]:
    """Variables that settings classes of a module read."""
    for each in vars(import_module(module)).values():
        if isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == module:
            prefix = each.model_config["env_prefix"]
            yield from (f"{prefix}{name}".upper() for name in each.model_fields)


def _handler(template: Template, function: str) -> str:
    handler: str = template.properties(function)["ImageConfig"]["Command"][0]
    return handler


def _variables(template: Template, function: str) -> dict[str, Any]:
    variables: dict[str, Any] = template.properties(function)["Environment"]["Variables"]
    return variables


def test_every_function_is_looked_at(template: Template) -> None:
    assert set(of_type(template, "AWS::Lambda::Function")) == set(_FUNCTIONS)


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_handlers_are_there(template: Template, function: str) -> None:
    module, _, name = _handler(template, function).rpartition(".")
    assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_what_a_function_reads_is_set_and_what_is_set_is_read(template: Template, function: str) -> None:
    modules = {each for each in reachable(_handler(template, function).rpartition(".")[0]) if ".functions" in each}
    read = {name for module in modules for name in (*_settings(module), *_constants(module))}
    assert read - _BY_LAMBDA - _OF_THE_OTHER.get(function, set()) == set(_variables(template, function))


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_values_are_accepted_by_the_settings_that_read_them(
    template: Template, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in _variables(template, function).items():
        assert isinstance(value, str), f"{name} is no text"
        monkeypatch.setenv(name, re.sub(r"[<>]", "", value).lower())
    modules = [each for each in reachable(_handler(template, function).rpartition(".")[0]) if ".functions" in each]
    loaders = [vars(import_module(each))["load_settings"] for each in modules if any(_settings(each))]
    assert [loader().model_fields_set != set() for loader in loaders] == [True]


def test_what_the_worker_reads_is_set_by_the_job_the_stack_or_the_image(template: Template) -> None:
    read = {name for module in modules_below("neuron_worker.fleet") for name in _constants(module)}
    given = {each["Name"] for each in template.properties("Worker")["ContainerProperties"]["Environment"]}
    images = {name: set(_image_variables(name)) for name in AwsDeployment().files() if name.startswith("worker/")}
    assert {"worker/Dockerfile", "worker/cpu.Dockerfile"} <= set(images)
    for name, image in images.items():
        if name.endswith("Dockerfile"):
            left = {each for each in read if not _BY_BATCH.fullmatch(each)} - given - image - _PER_JOB
            assert left <= _LEFT_AT_ITS_DEFAULT, name
    assert {"MEDIABROKER_TASK", "MEDIABROKER_SCRATCH"} <= read  # or nothing was looked at
    assert "AWS_DEFAULT_REGION" in given  # boto3 reads it, and Batch does not tell it


def _image_variables(name: str) -> list[str]:
    return re.findall(r"\b(\w+)=", files("mediabroker_aws.deploy").joinpath(name).read_text())
