"""Which providers may run a job, and in which order: those whose kinds, schemes and options fit.

`provider=` of a call comes first, then the first of `[[routes]]` that fits the job, else all that are configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediabroker.broker.attempt.limits import Limits
from mediabroker.broker.attempt.placement import place, placed
from mediabroker.broker.core import Core, Fleet
from mediabroker.config import RouteSettings
from mediabroker.errors import ConfigurationError, UnsupportedError
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.spi import Provider, ProviderOptions
from mediabroker.store.records import Placement, Route

__all__ = ["Choice", "Rejection", "choose", "options_for", "parse_options"]


class Rejection(Value, frozen=True):
    """A provider that was not chosen, and why."""

    provider: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """The provider of the first attempt, which ones may follow, and who cannot run the job."""

    provider: Provider
    route: Route
    placement: Placement
    """What has to be staged, with `<token>` in the place of the attempt's token."""
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True)
class _Order:
    """Instances to be tried, in order. Unless somebody has `asked` for that order, the next best may be better."""

    names: tuple[str, ...]
    asked: bool
    max_attempts: int = 1
    region: str | None = None


def choose(
    core: Core,
    spec: JobSpec[Any],
    *,
    among: str | Sequence[str] | None,
    options: Sequence[ProviderOptions],
    limits: Limits,
) -> Choice:
    """The providers for `spec`, of `among` in that order, of the route that fits it, or of all in configured order.

    Only `among` and routes let another provider follow when the first has failed. Without either, a provider that
    reaches input and output by itself goes before one for which they must be staged.

    Raises:
        UnsupportedError: no provider fits, with each one's reason; or options for a provider that is not in play.
        ConfigurationError: `among` or a route names an instance that is not configured, or the only provider lacks a
            package.
    """
    order = _order(core, spec, among)
    candidates, rejected = _candidates(core.fleet, order)
    _refuse_foreign_options(candidates, options)
    fits: list[tuple[Provider, Placement]] = []
    for provider in candidates:
        try:
            _refuse_limits(provider, limits)
            placement = place(core, provider, spec, "<token>")
            provider.check(placed(spec, placement), options_for(provider, options))
        except (UnsupportedError, ConfigurationError) as error:
            if len(order.names) == 1:
                raise  # with nobody else in play, the provider's own word is the best there is
            rejected.append(Rejection(provider=provider.name, reason=str(error)))
        else:
            fits.append((provider, placement))
            if not order.asked and not placement.folders:
                break
    if not fits:
        reasons = "; ".join(rejection.reason for rejection in rejected) or "none is configured"
        raise UnsupportedError(f"no provider can run this {spec.kind} job: {reasons}")
    provider, placement = fits[0] if order.asked else min(fits, key=lambda fit: bool(fit[1].folders))
    names = tuple(each.name for each, _ in fits) if order.asked else (provider.name,)
    route = Route(providers=names, max_attempts=order.max_attempts)
    return Choice(provider, route, placement, tuple(rejected))


def _refuse_limits(provider: Provider, limits: Limits) -> None:
    if limits and not provider.capabilities().cancel:
        raise UnsupportedError(f"{provider.name} cannot stop a job, so it can keep neither deadline nor queue_timeout")


def options_for(provider: Provider, options: Sequence[ProviderOptions]) -> ProviderOptions | None:
    """The options that belong to this provider's type; the last one wins."""
    return next((each for each in reversed(options) if each.provider == provider.type), None)


def parse_options(fleet: Fleet, stored: Mapping[str, Any]) -> ProviderOptions:
    """Return options as they were given at submit.

    Raises:
        UnsupportedError: no configured provider takes options of their type any more.
    """
    for provider in fleet.values():
        cls = provider.capabilities().options
        if cls is not None and cls.provider == stored["provider"]:
            return cls.model_validate(stored["values"])
    raise UnsupportedError(f"options: no configured provider is of type {stored['provider']!r}")


def _order(core: Core, spec: JobSpec[Any], among: str | Sequence[str] | None) -> _Order:
    if isinstance(among, str):
        return _Order((among,), asked=True)
    if among is not None:
        names = tuple(dict.fromkeys(among))
        return _Order(names, asked=True, max_attempts=len(names))
    found = next((each for each in core.settings.routes if _fits(each, spec)), None)
    if found is None:
        return _Order(tuple(core.fleet), asked=False)
    return _Order(found.providers, True, found.max_attempts or len(found.providers), found.region)


def _fits(route: RouteSettings, spec: JobSpec[Any]) -> bool:
    schemes = ((route.input_schemes, spec.input), (route.output_schemes, spec.output))
    return (not route.kinds or spec.kind in route.kinds) and all(
        not wanted or (uri is not None and uri.scheme in wanted) for wanted, uri in schemes
    )


def _candidates(fleet: Fleet, order: _Order) -> tuple[list[Provider], list[Rejection]]:
    # A configured provider that nobody asked for must not stop a job that another one can run.
    usable, rejected = [], []
    for name in order.names:
        try:
            provider = fleet.named(name)
        except ConfigurationError as error:
            if order.asked:
                raise
            rejected.append(Rejection(provider=name, reason=str(error)))
            continue
        if order.region is not None and provider.region not in (None, order.region):
            reason = f"{name} is in region {provider.region}, the route asks for {order.region}"
            rejected.append(Rejection(provider=name, reason=reason))
        else:
            usable.append(provider)
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
