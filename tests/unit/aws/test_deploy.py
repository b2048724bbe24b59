"""`mediabroker deploy aws`: it shows, writes and explains, and touches nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mediabroker_aws.deploy.deployment import AwsDeployment
from mediabroker_aws.deploy.template import load_template, template_text
from tests.unit.aws.stack import GIVEN
from tests.unit.cli.conftest import Cli, cli

__all__ = ["cli"]

_GIVEN = [f"--parameter={name}={value}" for name, value in GIVEN.items()]


def test_a_dry_run_shows_every_resource_and_what_is_still_needed(cli: Cli) -> None:
    shown = cli("deploy", "aws", "--dry-run").out
    for name in load_template()["Resources"]:
        assert (name in shown) == (name not in ("LettersAreDead", "NobodyFetchesEvents"))
    needed = {line.split()[0] for line in shown.splitlines() if line.split()[1:2] == ["needed"]}
    assert needed == {"FunctionImage", "WorkerImage", "VpcId", "SubnetIds", "NeuronAmi"}
    assert "POST, x-api-key" in shown
    assert "SPOT, inf1.xlarge, 0 to 16 vCPUs" in shown


def test_a_dry_run_shows_what_a_parameter_changes(cli: Cli) -> None:
    shown = cli("deploy", "aws", "--dry-run", "-p", "Accelerator=cpu", "-p", "ApiAccess=ANONYMOUS").out
    assert "SPOT, c6i.xlarge" in shown
    assert "POST, anonymous" in shown
    assert "UsagePlan" not in shown


def test_json_is_the_whole_plan(cli: Cli) -> None:
    plan = cli("deploy", "aws", "--dry-run", "--json", *_GIVEN).data
    assert {each["name"]: each["value"] for each in plan["parameters"]}["NeuronAmi"] == GIVEN["NeuronAmi"]
    assert len(plan["resources"]) == len({each["name"] for each in plan["resources"]})


def test_commands_name_the_images_the_region_and_every_parameter_that_was_given(cli: Cli) -> None:
    lines = cli("deploy", "aws", "--name", "studio", "--region", "us-west-2", *_GIVEN).out.splitlines()
    commands = [shlex.split(line) for line in lines if not line.startswith("#")]
    assert commands.pop(0)[:3] == ["aws", "ecr", "get-login-password"]
    assert commands.pop()[:3] == ["aws", "apigateway", "get-api-key"]
    assert all("--provenance=false" in each for each in commands if each[:2] == ["docker", "build"])
    assert [each[:2] for each in commands] == [
        ["aws", "ecr"],
        ["docker", "build"],
        ["docker", "push"],
        ["aws", "ecr"],
        ["docker", "build"],
        ["docker", "push"],
        ["aws", "cloudformation"],
        ["aws", "cloudformation"],
    ]
    deploy = commands[6]
    assert deploy[deploy.index("--stack-name") + 1] == "studio"
    assert deploy[deploy.index("--region") + 1] == "us-west-2"
    assert set(deploy[deploy.index("--parameter-overrides") + 1 :]) == {f"{n}={v}" for n, v in GIVEN.items()}
    assert commands[2][-1] == GIVEN["FunctionImage"]
    assert "NEURON_INDEX=…" in commands[4]


def test_commands_build_only_files_that_are_there(cli: Cli) -> None:
    named = {
        word.removeprefix("providers/mediabroker_aws/deploy/")
        for accelerator in ("inf1", "cpu")
        for word in shlex.split(cli("deploy", "aws", "-p", f"Accelerator={accelerator}").out.replace("#", ""))
        if word.endswith(("Dockerfile", ".yaml"))
    }
    assert named == {"template.yaml", "function/Dockerfile", "worker/Dockerfile", "worker/cpu.Dockerfile"}
    assert named <= set(AwsDeployment().files())


def test_the_files_are_written_as_they_are_and_never_over_others(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    assert cli("deploy", "aws", "--template", folder).code == 0
    assert (folder / "template.yaml").read_text() == template_text()
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()) == sorted(
        AwsDeployment().files()
    )
    assert cli("deploy", "aws", "--template", folder).code == 0
    (folder / "template.yaml").write_text("mine")
    (folder / "function" / "Dockerfile").unlink()
    refused = cli("deploy", "aws", "--template", folder)
    assert refused.code == 3
    assert "template.yaml is there and differs" in refused.err
    assert not (folder / "function" / "Dockerfile").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aws", "-p", "Accelerator=tpu"], "parameter Accelerator is 'tpu'; it may be inf1, cpu"),
        (["aws", "-p", "Accelerator"], "--parameter 'Accelerator': write NAME=VALUE"),
        (["aws", "-p", "MaxVcpus=4", "-p", "MaxVcpus=8"], "each name once"),
        (["aws", "--name", "my stack"], "--name 'my stack'"),
        (["azure"], "no deployment 'azure'"),
    ],
)
def test_what_is_wrong_is_named(cli: Cli, arguments: list[str], said: str) -> None:
    outcome = cli("deploy", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
