"""Writes down every call that a process makes through botocore: who, what, on which resource.

Installed as `sitecustomize`, it sees the processes of functions and workers too. Who it is is told by the environment.
"""

from __future__ import annotations

__all__ = ["RECORDER"]

RECORDER = """
import json, os

LOG = {log!r}
NAMED = ("Bucket", "Key", "QueueUrl", "FunctionName", "jobQueue")
ROLES = {{
    "AWS_BATCH_JOB_ID": "WorkerRole",
    "MEDIABROKER_UPSCALE_BUCKET": "UpscaleRole",
    "MEDIABROKER_TRANSCODE_WORKER": "TranscodeRole",
    "MEDIABROKER_TRANSCODE_BUCKETS": "TranscodeWorkerRole",
}}
WHO = next((ROLES[name] for name in ROLES if name in os.environ), None)


def note(params, model, **_):
    operation = f"{{model.service_model.service_name}}:{{model.name}}"
    where = {{name: params[name] for name in NAMED if name in params}}
    with open(LOG, "a") as log:  # one short write: lines of several processes do not mix
        log.write(json.dumps({{"who": WHO, "operation": operation, "where": where}}) + "\\n")


if WHO is not None:
    import botocore.session

    make = botocore.session.Session.create_client

    def create_client(session, *args, **kwargs):
        client = make(session, *args, **kwargs)
        client.meta.events.register_first("provide-client-params.*.*", note)
        return client

    botocore.session.Session.create_client = create_client
"""
