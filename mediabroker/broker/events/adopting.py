"""Takes a job over: by its reference, or by a callback that bears its token. Another host submitted it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.core import Core
from mediabroker.errors import ConfigurationError, JobNotFoundError
from mediabroker.refs import JobRef, token_for
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
    members = [Member(role=each.role, native_id=each.native_id) for each in ref.members]
    if not _are_known(core, provider, members):
        raise JobNotFoundError(f"{ref.provider} knows no job {ref}")
    origin = Origin(job_id=ref.job_id, kind=ref.kind, token=token_for(ref.job_id, 1))
    with core.store.write() as tx:
        store_adopted(tx, core, Adoption(provider.name, origin, tuple(members)))


def recover(core: Core, provider: Provider, seen: Observation) -> Adoption | None:
    """The job that a callback comes from, asked of the provider; None when it is not ours, or cannot be told yet.

    Raises:
        ProviderError: the provider cannot be asked.
    """
    origin = seen.origin
    if origin is None or origin.token != token_for(origin.job_id, origin.attempt):
        return None
    members = core.converse(provider.name, provider.recover(origin, seen))
    return Adoption(provider.name, origin, tuple(members)) if _are_known(core, provider, members) else None


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
        placement=_placement(core, origin),
    )
    job = JobRecord(origin.job_id, origin.kind, None, now, user_data=origin.user_data)
    attempt = Attempt(core, Loaded(job, [row], [], {}), is_stored=False)
    attempt.accept(adoption.members)
    attempt.save(tx)


def _placement(core: Core, origin: Origin) -> Placement:
    """Return where the output is and where it goes; what is staged is cleared by the host that did so."""
    if origin.deliver_to is None:
        return Placement()
    if not core.settings.may_adopt_to(origin.deliver_to):
        text = "the output of adopted job %s stays where the vendor wrote it, because %s is not in adopt_to"
        _log.warning(text, origin.job_id, origin.deliver_to)
        return Placement()
    return Placement(output=origin.output, target=origin.deliver_to, overwrite=origin.overwrite)


def _are_known(core: Core, provider: Provider, members: Sequence[Member]) -> bool:
    seen = core.converse(provider.name, provider.query(members)) if members else []
    return any(not observation.not_found for observation in seen)


def _check_same_account(provider: Provider, ref: JobRef) -> None:
    if (provider.account, provider.region) != (ref.account, ref.region):
        raise ConfigurationError(
            f"provider {provider.name!r} is account {provider.account}, region {provider.region} here; "
            f"the job is in account {ref.account}, region {ref.region}"
        )
