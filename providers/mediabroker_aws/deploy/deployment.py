"""The stack as `mediabroker deploy aws` shows it. Nothing here speaks to an account."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from mediabroker.errors import ConfigurationError
from mediabroker.spi.deployment import DeploymentPlan, Parameter, PlannedResource
from mediabroker_aws.deploy.template import Template, load_template

__all__ = ["AwsDeployment"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")
"""CloudFormation allows 128 characters; names of functions, which begin with it, may have 64."""
_BUILD = ("docker", "build", "--platform", "linux/amd64", "--provenance=false")
"""Without the last, docker pushes an index of images, which Lambda does not take. Source: AWS Lambda Developer Guide,
"Create a Lambda function using a container image", read 2026."""
_STAND_INS = {
    "FunctionImage": "<account>.dkr.ecr.<region>.amazonaws.com/{name}-function:1",
    "WorkerImage": "<account>.dkr.ecr.<region>.amazonaws.com/{name}-worker:1",
    "VpcId": "vpc-…",
    "SubnetIds": "subnet-…",
    "NeuronAmi": "ami-00000000",
}
"""For parameters that were not given, so that the rest can be shown."""
_GROUPS = {
    "AWS::S3": "objects",
    "AWS::SQS": "events",
    "AWS::Events": "events",
    "AWS::CloudWatch": "alarms",
    "AWS::Batch": "workers",
    "AWS::EC2": "workers",
    "AWS::Lambda": "functions",
    "AWS::ApiGateway": "REST API",
    "AWS::Logs": "logs",
    "AWS::IAM": "rights",
}


class AwsDeployment:
    """A `Deployment`: one CloudFormation stack and two container images."""

    def files(self) -> Mapping[str, bytes]:
        """The template and the container files."""
        folder = Path(str(files("mediabroker_aws.deploy")))
        found = sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix not in (".py", ".pyc"))
        return {each.relative_to(folder).as_posix(): each.read_bytes() for each in found}

    def plan(self, given: Mapping[str, str], *, name: str, region: str | None) -> DeploymentPlan:
        """See `Deployment.plan`."""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"--name {name!r}: at most 40 letters, digits and hyphens, a letter first")
        missing = _missing(given)
        stand_ins = {each: _STAND_INS[each].format(name=name) for each in missing}
        pseudo = {"AWS::StackName": name, **({"AWS::Region": region} if region else {})}
        template = Template({**given, **stand_ins}, pseudo=pseudo)
        declared = template.content["Parameters"]
        return DeploymentPlan(
            title=f"stack {name}" + (f" in {region}" if region else ""),
            parameters=tuple(
                Parameter(
                    name=each,
                    value=None if each in missing else str(given.get(each, declared[each].get("Default"))),
                    description=" ".join(declared[each]["Description"].split()),
                )
                for each in declared
            ),
            resources=_resources(template),
            commands=tuple(_commands({**stand_ins, **given}, name, region)),
        )


def _missing(given: Mapping[str, str]) -> list[str]:
    declared = load_template()["Parameters"]
    needed = [each for each in declared if "Default" not in declared[each]]
    if given.get("Accelerator", declared["Accelerator"]["Default"]) == "inf1":
        needed.append("NeuronAmi")
    return [each for each in needed if not given.get(each)]


def _resources(template: Template) -> tuple[PlannedResource, ...]:
    order = list(dict.fromkeys(_GROUPS.values()))
    planned = [
        PlannedResource(
            group=_GROUPS[each["Type"].rpartition("::")[0]],
            name=name,
            type=each["Type"].removeprefix("AWS::"),
            facts=_facts(each["Type"], template.properties(name)),
        )
        for name, each in template.resources().items()
    ]
    return tuple(sorted(planned, key=lambda each: order.index(each.group)))


def _facts(kind: str, properties: Mapping[str, Any]) -> str:
    """What of a resource decides what it costs or lets in."""
    if kind == "AWS::Lambda::Function":
        return f"{properties['MemorySize']} MB, {properties['Timeout']} s"
    if kind == "AWS::Batch::ComputeEnvironment":
        machines = properties["ComputeResources"]
        return f"{machines['Type']}, {machines['InstanceTypes'][0]}, 0 to {machines['MaxvCpus']} vCPUs"
    if kind == "AWS::ApiGateway::Method":
        key = "x-api-key" if properties["ApiKeyRequired"] else "anonymous"
        return f"{properties['HttpMethod']}, {'AWS signature' if properties['AuthorizationType'] == 'AWS_IAM' else key}"
    if kind == "AWS::Logs::LogGroup":
        return f"{properties['RetentionInDays']} days"
    if kind == "AWS::S3::Bucket":
        days = properties["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"]
        return f"kept when the stack is deleted; wip/ for {days} days"
    return ""


def _commands(parameters: Mapping[str, str], name: str, region: str | None) -> list[str]:
    where = ["--region", region] if region else []
    stack = ["--stack-name", name, *where]
    overrides = [f"{each}={value}" for each, value in parameters.items()]
    deploy = ["aws", "cloudformation", "deploy", "--template-file", "template.yaml"]
    describe = ["aws", "cloudformation", "describe-stacks"]
    return [
        "# In the folder that `mediabroker deploy aws --template FOLDER` writes, with a wheel of this release in it.",
        *_login(parameters["FunctionImage"], where),
        *_repository(f"{name}-function", where),
        shlex.join([*_BUILD, "-f", "function/Dockerfile", "-t", parameters["FunctionImage"], "."]),
        shlex.join(["docker", "push", parameters["FunctionImage"]]),
        *_repository(f"{name}-worker", where),
        *_worker(parameters.get("Accelerator", "inf1"), parameters["WorkerImage"]),
        shlex.join(["docker", "push", parameters["WorkerImage"]]),
        shlex.join([*deploy, *stack, "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *overrides]),
        shlex.join([*describe, *stack, "--query", "Stacks[0].Outputs", "--output", "table"]),
        "# With ApiAccess=API_KEY: the value of the key, by the id in the output ApiKeyId.",
        shlex.join(["aws", "apigateway", "get-api-key", "--api-key", "<ApiKeyId>", "--include-value", *where])
        + " --query value --output text",
    ]


def _login(image: str, where: list[str]) -> list[str]:
    """Docker's login at the registry, good for twelve hours."""
    password = shlex.join(["aws", "ecr", "get-login-password", *where])
    return [f"{password} | docker login --username AWS --password-stdin {shlex.quote(image.partition('/')[0])}"]


def _repository(name: str, where: list[str]) -> list[str]:
    kept = ["--image-tag-mutability", "IMMUTABLE", "--image-scanning-configuration", "scanOnPush=true"]
    return [shlex.join(["aws", "ecr", "create-repository", "--repository-name", name, *kept, *where])]


def _worker(accelerator: str, target: str) -> list[str]:
    if accelerator == "cpu":
        return [shlex.join([*_BUILD, "-f", "worker/cpu.Dockerfile", "-t", target, "."])]
    vendor = [word for name in ("BASE_IMAGE", "NEURON_INDEX", "COMPILED") for word in ("--build-arg", f"{name}=…")]
    file = "providers/mediabroker_aws/deploy/worker/Dockerfile"
    return [
        "# In a checkout of this release; the file says what the arguments are.",
        shlex.join([*_BUILD, *vendor, "-f", file, "-t", target, "."]),
        "# Back in the folder.",
    ]
