"""Refuses what callers pass in the place of something else, by the argument's name, before anything is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from types import UnionType
from typing import Any, get_args

from mediabroker.errors import ConfigurationError, InvalidJobError
from mediabroker.events import JobEvent
from mediabroker.jobs import JobSpec, is_known_kind, known_kinds
from mediabroker.spi import ProviderOptions
from mediabroker.states import JobState

__all__ = ["check_count", "check_handled", "check_key", "check_request", "check_state", "duration"]

_KEY_LIMIT = 256

_EVENTS: tuple[type[Any], ...] = get_args(JobEvent)


def check_request(spec: Any, provider: Any, options: Any) -> None:
    """What a job is asked for with.

    Raises:
        InvalidJobError: a spec that is none, no names of providers, or no list of options.
    """
    if not isinstance(spec, JobSpec):
        # Only its type: what it holds may be a signed URL.
        raise InvalidJobError(
            f"spec: {type(spec).__name__} is no JobSpec; give one such as Transcode(...), or JobSpec.parse(fields)"
        )
    if not (provider is None or isinstance(provider, str) or _is_list_of(provider, str)):
        raise InvalidJobError(f"provider: {provider!r:.80} is neither a name nor a list of names")
    if not _is_list_of(options, ProviderOptions):
        raise InvalidJobError(
            f"options: {options!r:.80} is no list of options; give one of typed options such as [LocalOptions(...)]"
        )


def duration(name: str, given: Any, *, longer_than: timedelta | None = timedelta(0)) -> timedelta | None:
    """Return a length of time, given in seconds or as a `timedelta`; None stays None.

    Raises:
        InvalidJobError: it is neither, or not longer than `longer_than`.
    """
    is_number = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
    if given is None:
        return None
    if not (is_number or isinstance(given, timedelta)):
        raise InvalidJobError(
            f"{name}: {given!r:.80} is no length of time; give seconds, or a timedelta such as timedelta(hours=6)"
        )
    length = given if isinstance(given, timedelta) else timedelta(seconds=given)
    if longer_than is not None and length <= longer_than:
        raise InvalidJobError(f"{name}: must be longer than zero, got {given}")
    return length


def check_key(key: Any) -> None:
    """Check an idempotency key; None is none.

    Raises:
        InvalidJobError: it has not 1 to 256 printable characters.
    """
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= _KEY_LIMIT and key.isprintable()):
        raise InvalidJobError(f"idempotency_key: {key!r:.80} must have 1 to {_KEY_LIMIT} printable characters")


def check_count(name: str, given: Any) -> None:
    """How many, at most; None for all.

    Raises:
        InvalidJobError: it is no whole number from 1 on.
    """
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise InvalidJobError(f"{name}: {given!r:.80} is no whole number from 1 on; leave it out for all")


def check_state(given: Any) -> JobState | None:
    """The state that is meant, by itself or by its name.

    Raises:
        InvalidJobError: there is no such state.
    """
    try:
        return None if given is None else JobState(given)
    except ValueError:
        known = ", ".join(state.value for state in JobState)
        raise InvalidJobError(f"state: {given!r:.80} is no JobState; they are {known}") from None


def check_handled(types: Sequence[Any], kind: Any) -> None:
    """Which events a handler is for: a mistake here would only show as a handler that is never called.

    Raises:
        ConfigurationError: one of `types` is no class of events, or nobody has defined the kind.
    """
    for each in types:
        parts = get_args(each) if isinstance(each, UnionType) else (each,)
        if not all(isinstance(part, type) and issubclass(part, _EVENTS) for part in parts):
            known = ", ".join(event.__name__ for event in _EVENTS)
            raise ConfigurationError(f"on: {each!r:.80} is no class of events, as in @broker.on(JobSucceeded): {known}")
    if kind is not None and not (isinstance(kind, str) and is_known_kind(kind)):
        raise ConfigurationError(
            f"on: kind: no class for {kind!r:.80} is defined in this process; there are {', '.join(known_kinds())}"
        )


def _is_list_of(given: Any, cls: type[Any]) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(each, cls) for each in given)
