"""`mediabroker deploy`: what a vendor's account would hold, the files for it, and the commands that make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mediabroker.cli.options import command
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import ConfigurationError, InvalidJobError, MissingDependencyError
from mediabroker.spi.deployment import Deployment, DeploymentPlan, load_deployment

__all__ = ["add_deploy_command"]


def add_deploy_command(app: typer.Typer) -> None:
    """Register it."""
    command(app, "deploy")(_deploy)


@dataclass(frozen=True)
class _Stack:
    """What is made, and where."""

    name: Annotated[str, typer.Option(help="Of the stack; names of what it makes begin with it.")] = "mediabroker"
    region: Annotated[str | None, typer.Option(help="Default: what your tools are set to.")] = None
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Of the template; repeatable.")
    ] = None


def _deploy(
    terminal: Terminal,
    stack: _Stack,
    vendor: Annotated[str, typer.Argument(metavar="VENDOR", help="Such as aws or alibaba.")],
    template: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the template and the container files there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made.")] = False,
) -> None:
    """Print the commands that make a vendor's stack; with --dry-run, what they would make. Never touches an account."""
    try:
        deployment = load_deployment(vendor)
        plan = deployment.plan(_pairs(stack.parameter or ()), name=stack.name, region=stack.region)
    except MissingDependencyError:
        raise
    except ConfigurationError as error:  # all that could be wrong was given as an argument
        raise InvalidJobError(str(error)) from error
    if template is not None:
        _write(deployment, template, terminal)
    shown = _table(plan) if dry_run else [Text("\n".join(plan.commands))]
    terminal.show(plan.model_dump(mode="json"), *shown)


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or name in pairs:
            raise InvalidJobError(f"--parameter {each!r}: write NAME=VALUE, each name once")
        pairs[name] = value
    return pairs


def _write(deployment: Deployment, folder: Path, terminal: Terminal) -> None:
    """All files or, when one of them is in the way with another content, none."""
    files = {folder / name: content for name, content in deployment.files().items()}
    for path, content in files.items():
        if path.exists() and path.read_bytes() != content:
            raise ConfigurationError(f"{path} is there and differs; move it away, or choose another folder")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        terminal.note(f"wrote {path}")


def _table(plan: DeploymentPlan) -> list[RenderableType]:
    shown: list[RenderableType] = [Text(f"{plan.title}\n")]
    parameters = Table("parameter", "value", "what it is", box=None, header_style="dim", pad_edge=False)
    for each in plan.parameters:
        value = Text("needed", style="bold red") if each.value is None else Text(each.value or "–")
        parameters.add_row(each.name, value, each.description)
    resources = Table("", "name", "type", "", box=None, header_style="dim", pad_edge=False)
    for group, members in groupby(plan.resources, key=lambda each: each.group):
        for at, member in enumerate(members):
            resources.add_row(group if at == 0 else "", member.name, member.type, member.facts)
    return [*shown, parameters, Text(f"\n{len(plan.resources)} resources\n"), resources]
