"""What `mediabroker deploy alibaba` shows: a bucket, a queue, a pipeline and a RAM policy. No account is called.

The commands are those of Alibaba Cloud's own command line, `aliyun`, which a person runs with administrator rights.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from mediabroker.errors import ConfigurationError
from mediabroker.spi.deployment import DeploymentPlan, Parameter, PlannedResource
from mediabroker_alibaba.deploy.policy import client_policy

__all__ = ["AlibabaDeployment"]

_REGION = "cn-shanghai"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Source: Object Storage Service, "Bucket naming conventions"."""


class _Declared(NamedTuple):
    default: str | None
    description: str


_PARAMETERS = {
    "Bucket": _Declared(
        None, "bucket for inputs, outputs and staged files, in the pipeline's region; names are global"
    ),
    "Queue": _Declared("{name}-events", "MNS queue that the pipeline notifies"),
    "Pipeline": _Declared("{name}", "MPS pipeline for transcodes and snapshots"),
    "User": _Declared("{name}-client", "RAM user of the program; an access key is created for it"),
}


class AlibabaDeployment:
    """A `Deployment`: the commands that prepare an account, and the policy that they attach."""

    def plan(self, given: Mapping[str, str], *, name: str, region: str | None) -> DeploymentPlan:
        """See `Deployment.plan`."""
        place = region or _REGION
        values = _values(given, name)
        chosen = {each: value or f"<{each.lower()}>" for each, value in values.items()}
        parameters = [Parameter(name=n, value=values[n], description=_PARAMETERS[n].description) for n in _PARAMETERS]
        return DeploymentPlan(
            title=f"{name} in {place}",
            parameters=tuple(parameters),
            resources=_resources(chosen),
            commands=tuple(_commands(chosen, name, place)),
        )

    def files(self) -> Mapping[str, bytes]:
        """Return no file: the policy travels in the command that creates it."""
        return {}


def _values(given: Mapping[str, str], name: str) -> dict[str, str | None]:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"--name {name!r}: at most 40 letters, digits and hyphens, a letter first")
    unknown = sorted(set(given) - set(_PARAMETERS))
    if unknown:
        raise ConfigurationError(f"--parameter {unknown[0]}: unknown; there are {', '.join(_PARAMETERS)}")
    bucket = given.get("Bucket")
    if bucket is not None and not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"Bucket {bucket!r}: 3 to 63 lower-case letters, digits and hyphens, none at its ends")
    defaults = {each: declared.default and declared.default.format(name=name) for each, declared in _PARAMETERS.items()}
    return {**defaults, **given}


def _resources(chosen: Mapping[str, str]) -> tuple[PlannedResource, ...]:
    rows = [
        ("objects", chosen["Bucket"], "OSS bucket", "private; MPS reads and writes it as AliyunMTSDefaultRole"),
        ("events", chosen["Queue"], "MNS queue", "visibility 60 s, messages kept 4 days"),
        ("jobs", chosen["Pipeline"], "MPS pipeline", "notifies the queue"),
        ("rights", "AliyunMTSDefaultRole", "RAM role", "created once by MPS's console, page Authorization"),
        ("rights", chosen["User"], "RAM user", "no console login, one access key"),
        ("rights", f"{chosen['User']}-policy", "RAM policy", "MPS jobs, objects of the bucket, messages of the queue"),
    ]
    return tuple(PlannedResource(group=group, name=name, type=kind, facts=facts) for group, name, kind, facts in rows)


def _commands(chosen: Mapping[str, str], name: str, region: str) -> list[str]:
    policy = json.dumps(client_policy([chosen["Bucket"]], chosen["Queue"], region))
    who, rights = ["--UserName", chosen["User"]], ["--PolicyName", f"{chosen['User']}-policy"]
    notify = json.dumps({"QueueName": chosen["Queue"]})
    attributes = "<Queue><VisibilityTimeout>60</VisibilityTimeout></Queue>"
    where = ["--region", region]
    lines = [
        ["oss", "mb", f"oss://{chosen['Bucket']}", *where],
        ["mns", "PUT", f"/queues/{chosen['Queue']}", "--body", attributes, *where],
        ["mts", "AddPipeline", "--Name", chosen["Pipeline"], "--NotifyConfig", notify, *where],
        ["ram", "CreateUser", *who],
        ["ram", "CreatePolicy", *rights, "--PolicyDocument", policy],
        ["ram", "AttachPolicyToUser", "--PolicyType", "Custom", *rights, *who],
        ["ram", "CreateAccessKey", *who],
    ]
    return [
        "# 1. In the console, once: activate MPS, OSS and MNS; let MPS create the role AliyunMTSDefaultRole.",
        "# 2. Bucket, queue and pipeline. The answer of AddPipeline names the pipeline's Id, which is `pipeline` of",
        f"#    [providers.{name}] in mediabroker.toml; the queue's address is `notify_url`.",
        *(shlex.join(["aliyun", *line]) for line in lines[:3]),
        "# 3. The program's user and permissions. The last answer shows its access key, once; export it as:",
        "#    ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET.",
        *(shlex.join(["aliyun", *line]) for line in lines[3:]),
    ]
