"""Objects in stores: the protocol of a store, typed records in one, and a journal made of such records."""

from __future__ import annotations

from mediabroker.objects.journal import ObjectJournal
from mediabroker.objects.records import Found, Records
from mediabroker.objects.store import ObjectStat, ObjectStore, UnnameableError, nameable, named

__all__ = ["Found", "ObjectJournal", "ObjectStat", "ObjectStore", "Records", "UnnameableError", "nameable", "named"]
