"""Takes a job over by its reference alone: another host submitted it, or the store that knew it is gone."""

from __future__ import annotations

from mediabroker.broker.core import Core, token_for
from mediabroker.broker.tell import move
from mediabroker.errors import ConfigurationError, JobNotFoundError
from mediabroker.refs import JobRef
from mediabroker.spi import Member, Provider
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs

__all__ = ["adopt"]


def adopt(core: Core, ref: JobRef) -> None:
    """Store the job that `ref` names, once its provider has confirmed it.

    Raises:
        JobNotFoundError: the reference names no vendor job, or the provider knows none of them.
        ConfigurationError: the provider instance is not configured here, or is another account's or region's.
    """
    provider = core.fleet.named(ref.provider)
    _check_same_account(provider, ref)
    members = [Member(role=each.role, native_id=each.native_id) for each in ref.members]
    seen = core.converse(provider.name, provider.query(members)) if members else []
    if all(observation.not_found for observation in seen):
        raise JobNotFoundError(f"{ref.provider} knows no job {ref}")
    now = core.clock.now()
    with core.store.write() as tx:
        if jobs.by_id(tx, ref.job_id) is not None:
            return
        jobs.insert_job(tx, ref.job_id, kind=ref.kind, spec=None, now=now)
        attempts.insert_attempt(
            tx,
            ref.job_id,
            1,
            token=token_for(ref.job_id, 1),
            provider=provider.name,
            account=provider.account,
            region=provider.region,
            flow_version=provider.capabilities().flow_version,
            started_at=now,
        )
        attempt, job = attempts.latest(tx, ref.job_id), jobs.by_id(tx, ref.job_id)
        assert job is not None
        attempts.insert_members(tx, attempt, members)
        move(tx, core, job, attempt, JobState.QUEUED)


def _check_same_account(provider: Provider, ref: JobRef) -> None:
    if (provider.account, provider.region) != (ref.account, ref.region):
        raise ConfigurationError(
            f"provider {provider.name!r} is account {provider.account}, region {provider.region} here; "
            f"the job is in account {ref.account}, region {ref.region}"
        )
