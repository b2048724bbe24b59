"""Objects in stores: the protocol of a store, typed records in one, and a journal made of such records."""

from __future__ import annotations

from mediabroker.objects.journal import ObjectJournal
from mediabroker.objects.records import Records
from mediabroker.objects.store import ObjectStat, ObjectStore, UnnameableError, nameable, named

__all__ = ["ObjectJournal", "ObjectStat", "ObjectStore", "Records", "UnnameableError", "nameable", "named"]
