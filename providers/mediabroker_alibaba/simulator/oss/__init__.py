"""The simulated object store.

refusals  how it says no          signing   V1 and V4              requests  what is asked for
auth      who asks                access    who may                blobs     bytes on disk
state     buckets and objects     ranges, listing, answers         service   requests in, answers out
object_operations, bucket_operations, multipart_operations         the operations
"""

from mediabroker_alibaba.simulator.oss.refusals import OssRefusedError
from mediabroker_alibaba.simulator.oss.service import OssService
from mediabroker_alibaba.simulator.oss.state import OssState

__all__ = ["OssRefusedError", "OssService", "OssState"]
