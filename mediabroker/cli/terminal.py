"""The two channels of a command: stdout carries the result and nothing else, stderr everything for people."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from mediabroker.cli.failures import describe_failure
from mediabroker.redaction import redact

if TYPE_CHECKING:
    from mediabroker.broker import Broker

__all__ = ["Terminal"]

_EVERYWHERE = "Everywhere"
_PIPE_WIDTH = 160
"""Columns when nobody looks: tables must not be cut to 80."""


@dataclass(frozen=True)
class Terminal:
    """Options every command has, and how it speaks."""

    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_EVERYWHERE)] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=_EVERYWHERE)] = False
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file instead of mediabroker.toml.", rich_help_panel=_EVERYWHERE),
    ] = None

    @cached_property
    def out(self) -> Console:
        return _console(stderr=False)

    @cached_property
    def err(self) -> Console:
        return _console(stderr=True)

    def broker(self) -> Broker:
        """The broker that this command's configuration describes."""
        from mediabroker.broker import Broker  # noqa: PLC0415  --help must not load the store

        return Broker.from_config(self.config)

    def show(self, data: Any, *renderables: RenderableType) -> None:
        """The command's result: `data` as JSON, or the renderables for people."""
        if self.json:
            self.out.out(json.dumps(data, ensure_ascii=False, indent=None if isinstance(data, str) else 2))
        else:
            for each in renderables:
                # A path that is broken over two lines cannot be copied.
                self.out.print(each, soft_wrap=isinstance(each, (str, Text)))

    def json_line(self, data: Mapping[str, Any]) -> None:
        """One of a stream of results, as one JSON object a line."""
        self.out.out(json.dumps(data, ensure_ascii=False))

    def note(self, text: str) -> None:
        """Something a person wants to know and a script does not."""
        self.err.print(Text(text), soft_wrap=True)

    def guard(self, work: Callable[[], None]) -> int:
        """Run a command's work; the exit code, after saying what went wrong."""
        try:
            work()
        except typer.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:
            return self.fail(error)
        return 0

    def fail(self, error: BaseException) -> int:
        """Say what went wrong; the exit code."""
        described = describe_failure(error)
        if self.debug:
            self.err.print(
                Text(redact("".join(traceback.format_exception(error)).rstrip()), style="dim"), soft_wrap=True
            )
        if self.json:
            self.show({"error": described})
        else:
            self.err.print(Text.assemble(("mediabroker: ", "bold red"), described["message"]), soft_wrap=True)
        code: int = described["exit_code"]
        return code


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
