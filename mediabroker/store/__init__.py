"""Where jobs, attempts, members, the call journal, the inbox and the outbox are kept.

`open_store(url)` gives a `Store`; its `read()` and `write()` are the only ways to a connection. What is done inside
them lives beside the thing it is done to: `jobs`, `attempts`, `journal`, `events`.
"""

from mediabroker.store.database import Store, open_store

__all__ = ["Store", "open_store"]
