"""The functions' container file, as far as it can be read without building it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mediabroker_aws.deploy.template import Template
from tests.unit.aws.stack import make_template, of_type

_ROOT = Path(__file__).parents[3]
_FILE = _ROOT / "providers/mediabroker_aws/deploy/function/Dockerfile"


@pytest.fixture(scope="module")
def template() -> Template:
    return make_template()


def lines(instruction: str) -> list[str]:
    """The arguments of every such instruction, continuation lines joined."""
    return re.findall(rf"^{instruction} (.*)$", _FILE.read_text().replace("\\\n", " "), re.MULTILINE)


def test_lambdas_runtime_client_is_started_without_a_shell_and_given_a_handler(template: Template) -> None:
    (entrypoint,), (command,) = lines("ENTRYPOINT"), lines("CMD")
    assert json.loads(entrypoint) == ["python", "-m", "awslambdaric"]  # no JSON would mean a shell
    assert any("awslambdaric" in each for each in lines("RUN"))
    handlers = [each["ImageConfig"]["Command"] for each in of_type(template, "AWS::Lambda::Function").values()]
    assert json.loads(command) in handlers


def test_functions_run_as_nobody_and_write_where_lambda_lets_them() -> None:
    assert lines("USER") == ["65534"]
    (environment,) = lines("ENV")
    assert "MEDIABROKER_DATA_DIR=/tmp/" in environment


def test_the_image_installs_extras_that_there_are() -> None:
    tomllib = pytest.importorskip("tomllib")
    extras = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = [found for each in lines("RUN") for found in re.findall(r"\.whl\)\[([\w,]+)\]", each)]
    assert set(wanted.split(",")) <= set(extras)
    assert {"aws", "local"} <= set(wanted.split(","))  # boto3 for all of them, ffmpeg for the transcoder


def test_image_and_functions_are_built_for_the_same_machine(template: Template) -> None:
    assert all(each["Architectures"] == ["x86_64"] for each in of_type(template, "AWS::Lambda::Function").values())
    assert "--platform linux/amd64" in _FILE.read_text()
