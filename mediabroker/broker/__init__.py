"""The broker: from a spec to one truthful result.

attempt     from the intent to the delivered outputs: choosing, intent, submitting, staging, delivering; limits
following   one pass over live jobs, merging what vendors answer, and the one thread that waits for all
events      messages -> observations, adoptions, quarantine; events to streams, handlers and Lambda
calling     one call to a vendor: rates, retries, the circuit
access      what a handle of a job may ask for; job, broker and aio are its faces; plan says what a submit would do
"""

from mediabroker.broker.aio import AsyncBroker, AsyncJob
from mediabroker.broker.attempt.choosing import Rejection
from mediabroker.broker.broker import Broker
from mediabroker.broker.events.aio import AsyncEventStream
from mediabroker.broker.events.ingesting import Ingested
from mediabroker.broker.events.stream import EventStream
from mediabroker.broker.job import Attempt, Job
from mediabroker.broker.plan import Plan, PlannedCall

__all__ = [
    "AsyncBroker",
    "AsyncEventStream",
    "AsyncJob",
    "Attempt",
    "Broker",
    "EventStream",
    "Ingested",
    "Job",
    "Plan",
    "PlannedCall",
    "Rejection",
]
