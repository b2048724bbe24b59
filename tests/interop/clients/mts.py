"""aliyun-python-sdk-core and aliyun-python-sdk-mts."""

from __future__ import annotations

import json
from typing import Any

from aliyunsdkcore.client import AcsClient
from aliyunsdkmts.request.v20140618.QueryIProductionJobRequest import QueryIProductionJobRequest
from aliyunsdkmts.request.v20140618.SearchPipelineRequest import SearchPipelineRequest
from aliyunsdkmts.request.v20140618.SubmitIProductionJobRequest import SubmitIProductionJobRequest
from aliyunsdkmts.request.v20140618.SubmitJobsRequest import SubmitJobsRequest
from checks import BUCKET, KEY_ID, MPS, REGION, SECRET, refusal, run

CLIENT = AcsClient(KEY_ID, SECRET, REGION)
SOURCE = f"oss://{BUCKET}.oss-{REGION}.aliyuncs.com/a b+c*~(中)'!.mp4"


def call(request: Any, client: Any = CLIENT) -> Any:
    request.set_endpoint(MPS.removeprefix("http://"))
    return json.loads(client.do_action_with_exception(request))


def smart_production() -> None:
    for method in ("GET", "POST"):
        submit = SubmitIProductionJobRequest()
        submit.set_method(method)
        submit.set_FunctionName("MusicSegmentDetect")
        submit.set_Input(SOURCE)
        query = QueryIProductionJobRequest()
        query.set_JobId(call(submit)["JobId"])
        assert call(query)["Input"] == SOURCE


def transcode() -> None:
    place = {"Bucket": BUCKET, "Location": f"oss-{REGION}", "Object": "a%2Fb.mp4"}
    submit = SubmitJobsRequest()
    submit.set_Input(json.dumps(place))
    submit.set_OutputBucket(BUCKET)
    submit.set_OutputLocation(f"oss-{REGION}")
    submit.set_PipelineId(call(SearchPipelineRequest())["PipelineList"]["Pipeline"][0]["Id"])
    submit.set_Outputs(
        json.dumps([{"OutputObject": "o.mp4", "TemplateId": "S00000001-200010", "UserData": "u" * 1000}] * 30)
    )
    assert len(call(submit)["JobResultList"]["JobResult"]) == 30


def wrong_secret() -> None:
    error: Any = refusal(lambda: call(SearchPipelineRequest(), AcsClient(KEY_ID, "wrong", REGION)))
    assert error.get_error_code() == "InvalidAccessKeySecret"


run(smart_production, transcode, wrong_secret)
