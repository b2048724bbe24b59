"""aliyun-python-sdk-mts: RPC v1 with POST and GET."""

from __future__ import annotations

import json
from typing import Any

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkmts.request.v20140618 import (
    QueryIProductionJobRequest,
    SearchPipelineRequest,
    SubmitIProductionJobRequest,
    SubmitJobsRequest,
    SubmitMediaInfoJobRequest,
)
from checks import BUCKET, KEY_ID, MPS, PIPELINE, REGION, SECRET, check, refused


def call(request: Any, secret: str = SECRET, method: str = "POST", **fields: str) -> Any:
    request.set_endpoint(MPS.removeprefix("http://"))
    request.set_method(method)
    for name, value in fields.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(AcsClient(KEY_ID, secret, REGION).do_action_with_exception(request))


def submit() -> str:
    base = f"oss://{BUCKET}.oss-{REGION}.aliyuncs.com/"
    answer = call(
        SubmitIProductionJobRequest.SubmitIProductionJobRequest(),
        FunctionName="Cover",
        Input=base + "a b+c*~(中)'!.mp4",
        Output=base + "out-{sequenceId}.jpg",
        JobParams='{"Model":"gif"}',
        PipelineId=PIPELINE,
        UserData="u",
    )
    return str(answer["JobId"])


def query(job: str) -> None:
    answer = call(QueryIProductionJobRequest.QueryIProductionJobRequest(), JobId=job)
    assert answer["State"] in ("Queuing", "Analysing", "Success", "Fail"), answer
    assert answer["UserData"] == "u"


def media_info_of_nothing() -> None:
    given = json.dumps({"Bucket": BUCKET, "Location": f"oss-{REGION}", "Object": "none.mp4"})
    answer = call(SubmitMediaInfoJobRequest.SubmitMediaInfoJobRequest(), Input=given, PipelineId=PIPELINE, Async="true")
    assert answer["MediaInfoJob"]["JobId"]


def pipelines(method: str) -> None:
    found = call(SearchPipelineRequest.SearchPipelineRequest(), method=method)["PipelineList"]["Pipeline"]
    assert PIPELINE in [each["Id"] for each in found]


def transcode() -> None:
    """Thirty outputs with long user data: a request line of more than 34 kB."""
    output = {"OutputObject": "o.mp4", "TemplateId": "S00000001-200010", "UserData": "u" * 1000}
    answer = call(
        SubmitJobsRequest.SubmitJobsRequest(),
        Input=json.dumps({"Bucket": BUCKET, "Location": f"oss-{REGION}", "Object": "a%2Fb.mp4"}),
        OutputBucket=BUCKET,
        OutputLocation=f"oss-{REGION}",
        PipelineId=PIPELINE,
        Outputs=json.dumps([output] * 30),
    )
    assert len(answer["JobResultList"]["JobResult"]) == 30


job = check("submit production job", submit)
check("query production job", lambda: query(job))
check("submit media info job", media_info_of_nothing)
check("submit transcode jobs in 34 kB", transcode)
check("search pipelines, POST", lambda: pipelines("POST"))
check("search pipelines, GET", lambda: pipelines("GET"))
search = SearchPipelineRequest.SearchPipelineRequest
# The server says SignatureDoesNotMatch; the SDK finds its own string to sign in the message and blames the secret.
check("wrong secret", lambda: refused(lambda: call(search(), secret="x"), ServerException, "InvalidAccessKeySecret"))
check(
    "missing parameter",
    lambda: refused(
        lambda: call(SubmitIProductionJobRequest.SubmitIProductionJobRequest()), ServerException, "MissingFunctionName"
    ),
)
