"""The broker: from a spec to one truthful result.

route    choose the provider                          submit   commit the intent, drive the flow to its end
drive    run a flow over the call journal             poll     one pass over live jobs, batched
merge    observations -> members -> attempt -> job    deliver  look at the outputs, end the job
watch    one thread that asks for all who wait        tell     changes of state, each with its event
"""

from mediabroker.broker.aio import AsyncBroker, AsyncJob
from mediabroker.broker.broker import Broker
from mediabroker.broker.job import Attempt, Job
from mediabroker.broker.plan import Plan, PlannedCall
from mediabroker.broker.route import Rejection

__all__ = ["AsyncBroker", "AsyncJob", "Attempt", "Broker", "Job", "Plan", "PlannedCall", "Rejection"]
