"""Takes a job over: by its reference, or by a callback that bears its token. Another host submitted it."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.core import Core
from mediabroker.errors import ConfigurationError, JobNotFoundError
from mediabroker.refs import JobRef, MediaURI, token_for
from mediabroker.spi import Member, Observation, Origin, Provider
from mediabroker.store import jobs
from mediabroker.store.attempts import Loaded
from mediabroker.store.records import AttemptRecord, JobRecord, Placement

__all__ = ["Adoption", "adopt", "recover", "store_adopted"]


_log = logging.getLogger(__name__)


class Adoption(NamedTuple):
    """A job that its provider has confirmed and this store may not know yet."""

    provider: str
    origin: Origin
    members: tuple[Member, ...]


def adopt(core: Core, ref: JobRef) -> None:
    """Store the job that `ref` names, once its provider has confirmed it.

    Raises:
        JobNotFoundError: the reference names no vendor job, or the provider knows none of them.
        ConfigurationError: the provider instance is not configured here, or is another account's or region's.
    """
    provider = core.fleet.named(ref.provider)
    _check_same_account(provider, ref)
    members = [Member(role=each.role, native_id=each.native_id, absent=each.absent) for each in ref.members]
    seen = core.converse(provider.name, provider.query(members)) if members else []
    if all(each.not_found for each in seen):
        raise JobNotFoundError(f"{ref.provider} knows no job {ref}")
    told = next((each.origin for each in seen if each.origin is not None and each.origin.job_id == ref.job_id), None)
    token = told.token if told is not None else core.token_for(ref.job_id, 1)
    origin = Origin(job_id=ref.job_id, kind=ref.kind, token=token)
    with core.store.write() as tx:
        store_adopted(tx, core, Adoption(provider.name, origin, tuple(members)))


def recover(core: Core, provider: Provider, seen: Observation) -> Adoption | None:
    """Ask the provider for the job that a callback names; None when it is not ours, or cannot be told yet.

    The callback's own word on whose job it is only saves a query about a job that is not ours.

    Raises:
        ProviderError: the provider cannot be asked.
    """
    claimed = seen.origin
    if claimed is None or not _is_ours(core, claimed):
        return None
    told = core.converse(provider.name, provider.recover(seen))
    if told is None or not _is_ours(core, told.origin) or told.origin.job_id != claimed.job_id:
        return None
    if told.proof == "token" and not _is_proven(core, told.origin):
        return None
    return Adoption(provider.name, told.origin, told.members) if _are_known(core, provider, told.members) else None


def _is_ours(core: Core, origin: Origin) -> bool:
    return _is_proven(core, origin) or origin.token == token_for(origin.job_id, origin.attempt)


def _is_proven(core: Core, origin: Origin) -> bool:
    """Whether a holder of the key made the token; of the form without a key anybody could have."""
    return hmac.compare_digest(origin.token.encode(), core.token_for(origin.job_id, origin.attempt).encode())


def store_adopted(tx: Connection, core: Core, adoption: Adoption) -> None:
    """Make the job's rows, unless they are there."""
    provider, origin = core.fleet.named(adoption.provider), adoption.origin
    if jobs.by_id(tx, origin.job_id) is not None:
        return
    now = core.clock.now()
    row = AttemptRecord(
        origin.job_id,
        origin.attempt,
        origin.token,
        provider.name,
        provider.account,
        provider.region,
        provider.capabilities().flow_version,
        now,
        placement=_placement(core, provider, origin),
    )
    job = JobRecord(origin.job_id, origin.kind, None, now, user_data=origin.user_data)
    attempt = Attempt(core, Loaded(job, [row], [], {}), is_stored=False)
    attempt.accept(adoption.members)
    attempt.save(tx)


def _placement(core: Core, provider: Provider, origin: Origin) -> Placement:
    """Return where the output is and where it goes; what is staged is cleared by the host that did so."""
    if origin.output is None or origin.deliver_to is None:
        return Placement()
    why = _refusal(core, provider, origin, origin.output, origin.deliver_to)
    if why is not None:
        why = f"the output was not copied to {origin.deliver_to}, because {why}"
        _log.warning("adopted job %s: %s", origin.job_id, why)
    return Placement(output=origin.output, target=origin.deliver_to, overwrite=origin.overwrite, undelivered=why)


def _refusal(core: Core, provider: Provider, origin: Origin, staged: MediaURI, target: MediaURI) -> str | None:
    """Return why the broker may not copy the output of an adopted job; None: it may."""
    if not core.settings.may_adopt_to(target):
        return "no folder of adopt_to holds it"
    if not _is_proven(core, origin):
        return "the job's token was made without the key"
    place = core.settings.staging_place(provider.name, {staged.scheme})
    below = str(staged).removeprefix(f"{place}{origin.token}/")
    if place is None or below == str(staged) or not {".", ".."}.isdisjoint(below.split("/")):
        return f"{staged} does not lie in the staging place of {provider.name}"
    return None


def _are_known(core: Core, provider: Provider, members: Sequence[Member]) -> bool:
    seen = core.converse(provider.name, provider.query(members)) if members else []
    return any(not observation.not_found for observation in seen)


def _check_same_account(provider: Provider, ref: JobRef) -> None:
    if (provider.account, provider.region) != (ref.account, ref.region):
        raise ConfigurationError(
            f"provider {provider.name!r} is account {provider.account}, region {provider.region} here; "
            f"the job is in account {ref.account}, region {ref.region}"
        )
