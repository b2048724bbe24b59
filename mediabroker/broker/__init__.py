"""The broker: from a spec to one truthful result.

route    choose the provider                          submit   commit the intent, drive the flow to its end
drive    run a flow over the call journal             poll     one pass over live jobs, batched
merge    observations -> members -> attempt -> job    deliver  look at the outputs, end the job
ingest   messages -> hints, adoptions, quarantine     feed     queues and threads behind a stream of events
stream   events one by one, acknowledged              handlers `on` and `serve`; trigger: the same in Lambda
watch    one thread that asks for all who wait        tell     changes of state, each with its event
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
