"""The command line put together: all commands, `plan`, `--version`, and the way from arguments to an exit code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from mediabroker.cli.comparing import add_comparing_commands
from mediabroker.cli.consuming import add_consuming_commands
from mediabroker.cli.deploying import add_deploy_command
from mediabroker.cli.describe import plan_card
from mediabroker.cli.failures import UsageError
from mediabroker.cli.managing import add_managing_commands
from mediabroker.cli.options import command
from mediabroker.cli.sandbox import add_sandbox_command
from mediabroker.cli.specs import read_spec
from mediabroker.cli.submitting import add_submitting_commands
from mediabroker.cli.terminal import Terminal
from mediabroker.redaction import RedactingFilter

__all__ = ["app", "run"]

_PLANNED = ("upscale", "transcode", "snapshot", "info", "submit")

app = typer.Typer(
    name="mediabroker",
    help="Media jobs on any vendor, or on this machine.",
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    for handler in (*logging.getLogger().handlers, logging.lastResort):
        if handler is not None:
            handler.addFilter(RedactingFilter())
    try:
        code = app(_with_plan_in_front(arguments), prog_name="mediabroker", standalone_mode=False)
    except UsageError as error:
        return Terminal(json="--json" in arguments, debug="--debug" in arguments).fail(error)
    return int(code or 0)


def _with_plan_in_front(arguments: Sequence[str]) -> list[str]:
    """`plan upscale IN OUT` reads better than `upscale IN OUT --plan` and means the same."""
    if len(arguments) > 1 and arguments[0] == "plan" and arguments[1] in _PLANNED:
        return [*arguments[1:], "--plan"]
    if len(arguments) > 2 and arguments[0] == "plan" and not any(each.startswith("-") for each in arguments[1:3]):
        known = ", ".join(_PLANNED)
        raise typer.BadParameter(f"plan {arguments[1]}: plan takes one file, or one of {known} with its arguments")
    return list(arguments)


@app.callback()
def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        typer.echo(version("mediabroker"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _plan(
    terminal: Terminal,
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A job as JSON or YAML, or - for stdin.")],
    provider: Annotated[list[str] | None, typer.Option(help="Provider instance; several in order.")] = None,
) -> None:
    """Show what a job would do, and start nothing. Also: plan upscale IN OUT …"""
    with terminal.broker() as broker:
        plan = broker.plan(read_spec(spec), provider=provider)
        terminal.show(plan.model_dump(mode="json"), plan_card(plan))


add_submitting_commands(app)
command(app, "plan")(_plan)
add_comparing_commands(app)
add_managing_commands(app)
add_consuming_commands(app)
add_sandbox_command(app)
add_deploy_command(app)
