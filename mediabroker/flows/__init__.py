"""Conversations with a vendor as data, and the one engine that makes their creates exactly-once in effect.

A flow is a generator that yields `Call`s and receives replies; `drive` runs one with any way of answering. `Engine`
answers over a `Journal`: it survives a crash between any two calls. Neither does I/O of its own.
"""

from mediabroker.flows.calls import Call, Effect, Flow, Reply, Transport, ask, drive
from mediabroker.flows.engine import Engine, HoldError, StopRequestedError, Vendor
from mediabroker.flows.journal import Entry, Journal

__all__ = [
    "Call",
    "Effect",
    "Engine",
    "Entry",
    "Flow",
    "HoldError",
    "Journal",
    "Reply",
    "StopRequestedError",
    "Transport",
    "Vendor",
    "ask",
    "drive",
]
