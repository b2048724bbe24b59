"""Finds what other packages offer through entry points, and loads a part only when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mediabroker.errors import ConfigurationError, MissingDependencyError

__all__ = ["load_plugin", "naming_extra", "offered"]


def offered(group: str, what: str) -> dict[str, EntryPoint]:
    """The installed parts of a group by name, nothing loaded. `what` names one of them in messages.

    Raises:
        ConfigurationError: two packages offer the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if point.name in found and point.value != found[point.name].value:
            raise ConfigurationError(
                f"{what} {point.name!r} is offered twice: {found[point.name].value} and {point.value}"
            )
        found[point.name] = point
    return found


def load_plugin(group: str, name: str, *, what: str, where: str, extra: str | None = None) -> Any:
    """The object that the group offers as `name`.

    Args:
        what: what one of the group is called, as "provider type".
        where: where the name was given, for the message.
        extra: which brings the packages that such parts need; without a word, the one of the part's vendor.

    Raises:
        ConfigurationError: nobody offers it; the message names the nearest one, or all.
        MissingDependencyError: it needs an extra; the message names the `pip install`.
    """
    known = offered(group, what)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; installed are {', '.join(sorted(known)) or 'none'}"
        raise ConfigurationError(f"{where}: no {what} {name!r}{hint}")
    with naming_extra(known[name], what, extra):
        return known[name].load()


@contextmanager
def naming_extra(point: EntryPoint, what: str, extra: str | None = None) -> Iterator[None]:
    """Turn a package that is missed in the block into the command that installs it.

    Raises:
        MissingDependencyError: names the package and the `pip install`.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} {point.name!r} needs {error.name or 'a package'} that is not installed: "
            f"pip install 'mediabroker[{extra or _extra(point)}]'"
        ) from error


def _extra(point: EntryPoint) -> str:
    """The extra that brings a part's packages: of one of our own packages its vendor, else the name's first word."""
    package = point.value.partition(":")[0].partition(".")[0]
    return package.removeprefix("mediabroker_") if package.startswith("mediabroker_") else point.name.partition("-")[0]
