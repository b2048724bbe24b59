"""The simulated message service: queues, topics, and the chaos that the contract of real ones allows.

refusals  how it says no            queues    one queue             topics    one topic
auth      who sent a request        requests  what it asks for      state     all of a region, by tenant
queue_operations, topic_operations  the operations                  service   requests in, answers out
"""

from mediabroker_alibaba.simulator.mns.queues import Chaos, SimulatedQueue
from mediabroker_alibaba.simulator.mns.refusals import MnsRefusedError
from mediabroker_alibaba.simulator.mns.service import MnsService

__all__ = ["Chaos", "MnsRefusedError", "MnsService", "SimulatedQueue"]
