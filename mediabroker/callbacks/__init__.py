"""Callbacks from vendors, on their way in: queues opened by URL, the receive loop, envelopes, `parse_event`.

envelopes  what queues wrap around a message         strict   JSON from strangers, bounded
parse      `parse_event`, pure                       sources  a queue by its URL
receive    the loop of one queue
"""

from mediabroker.callbacks.parse import Notice, parse_event
from mediabroker.callbacks.strict import PoisonError

__all__ = ["Notice", "PoisonError", "parse_event"]
