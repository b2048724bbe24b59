"""`mediabroker sandbox`: vendors simulated on this machine, until Ctrl-C."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import typer

from mediabroker.cli.options import command
from mediabroker.cli.terminal import Terminal
from mediabroker.errors import ConfigurationError
from mediabroker.sandbox import Sandboxes, sandbox_names

__all__ = ["add_sandbox_command"]


def add_sandbox_command(app: typer.Typer) -> None:
    """Register it."""
    command(app, "sandbox")(_sandbox)


def _sandbox(
    terminal: Terminal,
    vendors: Annotated[list[str] | None, typer.Argument(metavar="[VENDOR]...", help="Default: all.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep configuration, jobs and logs there; default: a temporary folder.")
    ] = None,
) -> None:
    """Simulate vendors on this machine, doing the real work, until Ctrl-C or SIGTERM. Prints a mediabroker.toml."""
    names = list(dict.fromkeys(vendors or sandbox_names()))
    if not names:
        raise ConfigurationError("no sandbox is installed: pip install 'mediabroker[sandbox]'")
    ended: SimpleQueue[None] = SimpleQueue()  # the one thing that a signal handler may put something into
    from mediabroker.broker.events.signals import ending_on_signals  # noqa: PLC0415  --help must not load the store

    with ending_on_signals(lambda: ended.put(None)), _kept_or_temporary(folder) as place:
        terminal.note(f"starting: {', '.join(names)}")
        with Sandboxes(names, place) as sandboxes:
            terminal.show(_data(sandboxes), sandboxes.config_text().rstrip())
            terminal.note(_told(sandboxes))
            ended.get()
        terminal.note("stopped")


@contextmanager
def _kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mediabroker-sandbox-") as name:
        yield Path(name)


def _data(sandboxes: Sandboxes) -> dict[str, Any]:
    return {
        "config": str(sandboxes.config_path),
        "settings": sandboxes.settings,
        "environment": sandboxes.environment,
        "facts": sandboxes.facts,
    }


def _told(sandboxes: Sandboxes) -> str:
    width = max((len(name) for facts in sandboxes.facts.values() for name in facts), default=0)
    lines = [""]
    for vendor, facts in sandboxes.facts.items():
        lines += [vendor, *(f"  {name:<{width}}  {value}" for name, value in facts.items()), ""]
    return "\n".join(
        (*lines, "In another terminal:", f"  . {sandboxes.folder / 'environment.sh'}", "", "Ctrl-C stops it.")
    )
