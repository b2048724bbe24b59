"""The template as tests look at it: evaluated with the values of an account that does not exist."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mediabroker_aws.deploy.template import Template

PSEUDO = {"AWS::Region": "us-west-2", "AWS::AccountId": "123456789012", "AWS::StackName": "studio"}
GIVEN = {
    "FunctionImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/studio-function:1",
    "WorkerImage": "123456789012.dkr.ecr.us-west-2.amazonaws.com/studio-worker:1",
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-0a1b2c3d,subnet-1a1b2c3d",
    "NeuronAmi": "ami-0123456789abcdef0",
}


def make_template(**given: str) -> Template:
    """The template with these parameters beside those that it needs."""
    return Template({**GIVEN, **given}, pseudo=PSEUDO)


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Evaluated properties of the resources of a type, by name."""
    named = {name for name, each in template.resources().items() if each["Type"] == kind}
    return {name: template.properties(name) for name in sorted(named)}


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that a role or a policy for identities makes, with the resource it is part of."""
    for name, properties in of_type(template, "AWS::IAM::Role").items():
        for policy in properties.get("Policies", ()):
            for each in policy["PolicyDocument"]["Statement"]:
                yield name, each
    for name, properties in of_type(template, "AWS::IAM::ManagedPolicy").items():
        for each in properties["PolicyDocument"]["Statement"]:
            yield name, each


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed_actions(template: Template) -> dict[str, set[str]]:
    """By role or policy, the actions that it allows."""
    allowed: dict[str, set[str]] = {}
    for name, statement in statements(template):
        assert statement["Effect"] == "Allow"
        allowed.setdefault(name, set()).update(as_list(statement["Action"]))
    return allowed


def canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
