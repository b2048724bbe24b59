"""What a vendor's package offers for its own account: what would be made there, and how.

A `Deployment` is offered in the entry-point group `mediabroker.deployments` under the vendor's name. It touches no
account: it says what there would be, hands out files, and names the commands that a person runs with rights of his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mediabroker.models import Value
from mediabroker.plugins import load_plugin

__all__ = ["DEPLOYMENT_GROUP", "Deployment", "DeploymentPlan", "Parameter", "PlannedResource", "load_deployment"]

DEPLOYMENT_GROUP = "mediabroker.deployments"
_WHAT = "deployment"


class Parameter(Value, frozen=True):
    """A choice. `value` is the one given, or the default; None: it is needed and was not given."""

    name: str
    value: str | None
    description: str


class PlannedResource(Value, frozen=True):
    """One thing that would be made: its name in the template, the vendor's type, what of it matters."""

    group: str
    name: str
    type: str
    facts: str = ""


class DeploymentPlan(Value, frozen=True):
    """What a deployment would come to. `commands` are shell lines, in order; lines that begin with `#` explain."""

    title: str
    parameters: tuple[Parameter, ...]
    resources: tuple[PlannedResource, ...]
    commands: tuple[str, ...]


class Deployment(Protocol):
    """The stack of one vendor."""

    def plan(self, given: Mapping[str, str], *, name: str, region: str | None) -> DeploymentPlan:
        """What would be made with these parameters, as a stack called `name`.

        Raises:
            ConfigurationError: a parameter is unknown or not allowed, or the name is; the message says what would do.
        """
        ...

    def files(self) -> Mapping[str, bytes]:
        """What the commands use, by relative path."""
        ...


def load_deployment(vendor: str) -> Deployment:
    """The deployment of a vendor.

    Raises:
        ConfigurationError: there is none; the message names those that are there.
        MissingDependencyError: it needs an extra; the message names the `pip install`.
    """
    factory = load_plugin(DEPLOYMENT_GROUP, vendor, what=_WHAT, where=vendor)
    deployment: Deployment = factory()
    return deployment
