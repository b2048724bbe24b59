"""The tables: one row of `jobs` per request, of `attempts` per try, of `members` per vendor job inside a try."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)

__all__ = [
    "SCHEMA_VERSION",
    "attempts",
    "calls",
    "consumers",
    "deliveries",
    "inbox",
    "jobs",
    "labels",
    "members",
    "metadata",
    "outbox",
    "quarantine",
    "schema_info",
]

SCHEMA_VERSION = 8


class Utc(TypeDecorator[datetime]):
    """Aware UTC in Python, naive UTC in the database: the same on a dialect with and without time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(timezone.utc).replace(tzinfo=None) if value else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=timezone.utc) if value else None


class VendorText(TypeDecorator[str]):
    """What a vendor may say: as long as it likes, and without the zero characters that PostgreSQL does not take."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else value


def _json(name: str) -> Column[Any]:
    return Column(name, JSON(none_as_null=True))


metadata = MetaData()

schema_info = Table(
    "schema_info",
    metadata,
    Column("version", Integer, nullable=False),
    Column("token_key", String(64)),  # under which the store's tokens are made, unless the settings have one
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),
    _json("spec"),  # null for a job that was adopted by its reference
    _json("options"),
    Column("output", String),  # of releases before schema 5; not written any more
    Column("idempotency_key", String(512), unique=True),
    Column("fingerprint", String(80)),
    Column("state", String(16), nullable=False, index=True),
    Column("phase", VendorText),
    Column("hold_reason", VendorText),
    Column("progress", Float),
    Column("progress_at", Utc),
    _json("frames"),
    _json("transfer"),
    _json("route"),  # which providers may be tried, in order; null for a job that was adopted
    Column("cancel_requested_at", Utc),
    Column("deadline_at", Utc),
    Column("queue_timeout_s", Float),
    Column("inferred", Boolean, nullable=False, default=False),
    _json("error"),
    _json("result"),
    _json("user_data"),
    Column("sequence", Integer, nullable=False, default=0),
    Column("created_at", Utc, nullable=False, index=True),
    Column("finished_at", Utc),
    Column("retry_of", String(64), index=True),
    Index("jobs_by_kind", "kind", "created_at"),
    Index("jobs_by_state", "state", "created_at"),
    Index("jobs_by_end", "finished_at"),
)

labels = Table(
    "labels",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", String(512), nullable=False),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    Index("labels_by_value", "name", "value"),
)

_STAGED = "placement IS NOT NULL"

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("provider", String(128), nullable=False, index=True),
    Column("account", String(128)),
    Column("region", String(64)),
    Column("flow_version", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    _json("error"),
    _json("result"),
    Column("started_at", Utc, nullable=False),
    Column("queued_at", Utc),
    Column("stop_asked_at", Utc),
    Column("ended_at", Utc),
    _json("placement"),  # what is staged, fixed when the attempt begins: settings may change under a job
    Column("staged_at", Utc),
    Column("cleared_at", Utc),
    # The lease lives on the attempt's own row: who drives it, and until when.
    Column("lease_owner", String(64)),
    Column("lease_epoch", Integer, nullable=False, default=0),
    Column("lease_until", Utc),
    Column("resume_at", Utc),
    Column("holds", Integer, nullable=False, default=0),
    Column("late_search_at", Utc, index=True),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    Index("attempts_by_lease", "lease_until"),
    Index("attempts_staged", "cleared_at", sqlite_where=text(_STAGED), postgresql_where=text(_STAGED)),
)

_ATTEMPT = (["job_id", "attempt"], ["attempts.job_id", "attempts.number"])

members = Table(
    "members",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("role", String(128), nullable=False),
    Column("native_id", VendorText, nullable=False, index=True),
    Column("required", Boolean, nullable=False),
    Column("output", String),
    _json("absent"),  # why there is no vendor job of that id
    Column("state", String(16), nullable=False),
    # The merge key; the member's state is the maximum of all that was seen.
    Column("vendor_attempt", Integer, nullable=False, default=0),
    Column("rank", Integer, nullable=False),
    Column("sub_rank", Integer, nullable=False, default=0),
    Column("phase", VendorText),
    Column("hold_reason", VendorText),
    Column("progress", Float),
    _json("frames"),
    _json("error"),
    _json("result"),
    _json("raw"),
    Column("not_found_at", Utc),
    ForeignKeyConstraint(*_ATTEMPT, ondelete="CASCADE"),
)

calls = Table(
    "calls",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("step", String(64), nullable=False),
    Column("service", String(64), nullable=False),
    Column("operation", String(128), nullable=False),
    Column("effect", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    _json("params"),
    Column("status", String(16), nullable=False),
    _json("reply"),
    _json("error"),
    Column("sends", Integer, nullable=False, default=0),
    Column("sent_at", Utc),
    Column("searched_at", Utc),  # when a search first came back empty; a second one a settle time later may send again
    ForeignKeyConstraint(*_ATTEMPT, ondelete="CASCADE"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("job_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("native_id", VendorText, nullable=False),
    Column("outcome", String(16), nullable=False),
    _json("observation"),
    Column("received_at", Utc, nullable=False),
    ForeignKeyConstraint(*_ATTEMPT, ondelete="CASCADE"),
    Index("inbox_of_attempt", "job_id", "attempt"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("job_id", String(64), nullable=False),
    Column("sequence", Integer, nullable=False),
    _json("payload"),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("job_id", "sequence"),
    ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

consumers = Table(
    "consumers",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("registered_at", Utc, nullable=False),
)

# One row per event that a consumer has still to be given; the row goes when it has been.
deliveries = Table(
    "deliveries",
    metadata,
    Column("consumer", String(128), primary_key=True),
    Column("event_id", String(64), primary_key=True),
    Column("job_id", String(64), nullable=False, index=True),
    Column("sequence", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("due_at", Utc),
    Column("lease_owner", String(64)),
    Column("lease_until", Utc),
    ForeignKeyConstraint(["consumer"], ["consumers.name"], ondelete="CASCADE"),
    ForeignKeyConstraint(["event_id"], ["outbox.id"], ondelete="CASCADE"),
    Index("deliveries_in_order", "consumer", "created_at"),
    Index("deliveries_of_job", "consumer", "job_id", "sequence"),
    Index("deliveries_of_event", "event_id"),
)

# Messages that nobody could use, byte for byte. They hang on no job.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("source", String, nullable=False),
    Column("message_id", VendorText, nullable=False),
    Column("reason", VendorText, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _json("attributes"),
    Column("received", Integer, nullable=False),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False, index=True),
)
