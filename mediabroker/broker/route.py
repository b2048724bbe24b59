"""Which provider runs a job: the first in order whose kinds, schemes and options fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mediabroker.broker.core import Fleet
from mediabroker.errors import ConfigurationError, UnsupportedError
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.spi import Provider, ProviderOptions

__all__ = ["Choice", "Rejection", "choose", "options_for"]


class Rejection(Value, frozen=True):
    """A provider that was not chosen, and why."""

    provider: str
    reason: str


class Choice(NamedTuple):
    """The chosen instance and those before it that cannot run the job."""

    provider: Provider
    rejected: tuple[Rejection, ...]


def choose(
    fleet: Fleet, spec: JobSpec[Any], *, among: str | Sequence[str] | None, options: Sequence[ProviderOptions]
) -> Choice:
    """The provider for `spec`, of `among` in that order, or of all in configured order.

    Raises:
        UnsupportedError: no provider fits, with each one's reason; or options for a provider that is not in play.
        ConfigurationError: `among` names an instance that is not configured, or the only provider lacks a package.
    """
    names = [among] if isinstance(among, str) else list(fleet if among is None else among)
    candidates, rejected = _candidates(fleet, names, asked=among is not None)
    _refuse_foreign_options(candidates, options)
    for provider in candidates:
        try:
            provider.check(spec, options_for(provider, options))
        except (UnsupportedError, ConfigurationError) as error:
            if len(names) == 1:
                raise  # with nobody else in play, the provider's own word is the best there is
            rejected.append(Rejection(provider=provider.name, reason=str(error)))
        else:
            return Choice(provider, tuple(rejected))
    reasons = "; ".join(rejection.reason for rejection in rejected) or "none is configured"
    raise UnsupportedError(f"no provider can run this {spec.kind} job: {reasons}")


def options_for(provider: Provider, options: Sequence[ProviderOptions]) -> ProviderOptions | None:
    """The options that belong to this provider's type; the last one wins."""
    return next((each for each in reversed(options) if each.provider == provider.type), None)


def _candidates(fleet: Fleet, names: Sequence[str], *, asked: bool) -> tuple[list[Provider], list[Rejection]]:
    # A configured provider that nobody asked for must not stop a job that another one can run.
    usable, rejected = [], []
    for name in names:
        try:
            usable.append(fleet.named(name))
        except ConfigurationError as error:
            if asked:
                raise
            rejected.append(Rejection(provider=name, reason=str(error)))
    return usable, rejected


def _refuse_foreign_options(candidates: Sequence[Provider], options: Sequence[ProviderOptions]) -> None:
    types = {provider.type for provider in candidates}
    for each in options:
        if each.provider not in types:
            in_play = ", ".join(sorted(types)) or "none"
            raise UnsupportedError(
                f"options: {type(each).__name__} belongs to provider type {each.provider!r}, which is not in play "
                f"({in_play})"
            )
