"""Options that many commands share: a parameter whose type is a dataclass becomes one option per field.

    @dataclass(frozen=True)
    class Paging:
        limit: Annotated[int, typer.Option(help="…")] = 20

    @command(app)
    def list_jobs(terminal: Terminal, paging: Paging, state: … = None) -> None: ...

`list --limit 5` then calls `list_jobs(terminal=Terminal(...), paging=Paging(limit=5), state=None)`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import typer

from mediabroker.cli.terminal import Terminal

__all__ = ["command"]

Function = Callable[..., None]


def command(app: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Register a function as a command; its errors become a sentence and an exit code, as `Terminal.guard` does."""

    def register(function: Function) -> Function:
        hints = get_type_hints(function, include_extras=True)
        given = inspect.signature(function).parameters
        groups = {each: hints[each] for each in given if dataclasses.is_dataclass(hints[each])}
        plain = [each.replace(annotation=hints[each.name]) for each in given.values() if each.name not in groups]
        shared = [option for group in reversed(groups.values()) for option in _options(group)]

        @functools.wraps(function)
        def run(**values: Any) -> int:
            built = {each: _build(group, values) for each, group in groups.items()}
            terminal = next(each for each in built.values() if isinstance(each, Terminal))
            return terminal.guard(functools.partial(function, **built, **values))

        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*plain, *shared)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name)(run)
        return function

    return register


def _options(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for each in dataclasses.fields(group):
        yield inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]
        )


def _build(group: type[Any], values: dict[str, Any]) -> Any:
    return group(**{each.name: values.pop(each.name) for each in dataclasses.fields(group)})
