"""What the tests of the store write and read back."""

from __future__ import annotations

from sqlalchemy import select

from mediabroker import MediaInfo
from mediabroker.clock import SystemClock
from mediabroker.store import Store, jobs
from mediabroker.store.records import JobRecord
from mediabroker.store.schema import jobs as jobs_table

__all__ = ["add", "ids"]


def add(store: Store, job_id: str) -> None:
    """Store a job, in a transaction of its own."""
    with store.write() as tx:
        jobs.insert_job(tx, JobRecord(job_id, "media_info", MediaInfo(input="/a.mp4"), SystemClock().now()))


def ids(store: Store) -> list[str]:
    """Of all jobs, sorted."""
    with store.read() as tx:
        return sorted(tx.execute(select(jobs_table.c.id)).scalars())
