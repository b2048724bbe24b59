"""The simulated MPS gateway, as the vendor's SDK and plain HTTP see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest
from defusedxml import ElementTree

from mediabroker_alibaba.simulator.clock import SimulatedClock
from mediabroker_alibaba.simulator.mps.rpc import build_string_to_sign, sign
from mediabroker_alibaba.simulator.world import World
from tests.unit.alibaba.mps_client import CLIP, INPUT, REGION, MpsClient, Place

COVER = {"FunctionName": "Cover", "Input": CLIP, "Output": CLIP.replace("a.mp4", "{sequenceId}.jpg")}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)  # the SDK heeds these and ignores NO_PROXY


@pytest.fixture
def place() -> Iterator[Place]:
    with closing(Place()) as place:
        yield place


@pytest.fixture
def still() -> Iterator[Place]:
    """Where time stands still between jumps."""
    with closing(Place(World(SimulatedClock(frozen=True)))) as place:
        yield place


def signed(place: Place, method: str = "GET", /, **changes: str | None) -> dict[str, str]:
    """Parameters of a signed request; None leaves one out."""
    params: dict[str, str | None] = {
        "Action": "SearchPipeline",
        "Version": "2014-06-18",
        "AccessKeyId": place.account.key.access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureType": "",
        "SignatureNonce": uuid4().hex,
        "Timestamp": place.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        **changes,
    }
    given = {name: value for name, value in params.items() if value is not None}
    if "Signature" not in changes:
        given["Signature"] = sign(build_string_to_sign(method, given), place.account.key.access_key_secret)
    return given


def get(place: Place, params: dict[str, str]) -> httpx.Response:
    return httpx.get(place.server.url, params=params, timeout=30, trust_env=False)


def refused(place: Place, action: str = "SearchPipeline", client: MpsClient | None = None, **params: Any) -> Any:
    with pytest.raises(ServerException) as error:
        (client or place.client).call(action, **params)
    return error.value


def test_signature_of_the_vendors_documentation() -> None:
    params = {
        "Timestamp": "2015-05-14T09:03:45Z",
        "Format": "XML",
        "AccessKeyId": "testId",
        "Action": "SearchTemplate",
        "PageSize": "2",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "4902260a-516a-4b6a-a455-45b653cf6150",
        "SignatureVersion": "1.0",
        "Version": "2014-06-18",
    }
    assert sign(build_string_to_sign("GET", params), "testKeySecret") == "kmDv4mWo806GWPjQMy2z4VhBBDQ="


def test_signature_of_a_key_with_every_awkward_character() -> None:
    params = {
        "Action": "SubmitIProductionJob",
        "Version": "2014-06-18",
        "Format": "JSON",
        "RegionId": "cn-shanghai",
        "FunctionName": "Cover",
        "Input": "oss://b.oss-cn-shanghai.aliyuncs.com/a b+c*~(中)'!.mp4",
        "JobParams": '{"Model":"gif"}',
        "PipelineId": "a" * 32,
        "Timestamp": "2026-01-02T03:04:05Z",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureType": "",
        "SignatureVersion": "1.0",
        "SignatureNonce": "0123456789abcdef0123456789abcdef",
        "AccessKeyId": "testId",
        "Signature": "takes no part",
    }
    assert sign(build_string_to_sign("POST", params), "testKeySecret") == "yHxiv87tMa7s+4n0zO45MEat/NU="


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sdk_is_understood_with_awkward_keys(place: Place, method: str) -> None:
    source = CLIP.replace("a.mp4", "a b+c*~(中)'!&=%2F.mp4")
    request = place.client.request("SubmitIProductionJob", **{**COVER, "Input": source}, UserData="ü +&")
    request.set_method(method)
    job_id = json.loads(place.client.send(request))["JobId"]
    answer = place.call("QueryIProductionJob", JobId=job_id)
    assert (answer["Input"], answer["UserData"]) == (source, "ü +&")


def test_form_parameters_take_part_in_the_signature(place: Place) -> None:
    request = CommonRequest(domain=place.server.netloc, version="2014-06-18", action_name="SubmitIProductionJob")
    request.set_method("POST")
    for name, value in COVER.items():
        request.add_body_params(name, value)
    request.add_query_param("UserData", "from the query")
    assert json.loads(place.client.send(request))["JobId"]


def test_request_lines_of_34_kb_are_taken(place: Place) -> None:
    output = {"OutputObject": "out.mp4", "TemplateId": "S00000001-200010", "UserData": "u" * 1000}
    pipeline_id = place.call("SearchPipeline")["PipelineList"]["Pipeline"][0]["Id"]
    answer = place.call(
        "SubmitJobs",
        Input=INPUT,
        OutputBucket="media",
        OutputLocation=f"oss-{REGION}",
        Outputs=[output] * 30,
        PipelineId=pipeline_id,
    )
    assert len(answer["JobResultList"]["JobResult"]) == 30
    assert len(place.world.ledger.entries("SubmitJobs")) == 30


def test_wrong_secret_is_told_apart_by_the_sdk_and_does_not_crash_it(place: Place) -> None:
    error = refused(place, client=MpsClient(place.server.netloc, place.account.key, secret="wrong"))
    assert (error.get_http_status(), error.get_error_code()) == (400, "InvalidAccessKeySecret")


def test_signature_over_something_else_is_refused_with_what_was_to_be_signed(place: Place) -> None:
    params = signed(place, PageSize="2")
    answer = get(place, {**params, "PageSize": "3", "Format": "JSON"})
    assert (answer.status_code, answer.json()["Code"]) == (400, "SignatureDoesNotMatch")
    assert answer.json()["Message"].split(":")[1].startswith("GET&%2F&AccessKeyId%3D")


def test_faulty_gateway_that_denies_a_signature_does_not_crash_the_sdk(place: Place) -> None:
    place.world.faults.add("mps.SearchPipeline", "denied")
    assert refused(place).get_error_code() == "SignatureDoesNotMatch"


def test_replayed_request_is_refused(place: Place) -> None:
    params = signed(place, Format="JSON")
    assert get(place, params).status_code == 200
    answer = get(place, params)
    assert (answer.status_code, answer.json()["Code"]) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize(("ahead_s", "taken"), [(14 * 60, True), (16 * 60, False)])
def test_time_may_differ_by_fifteen_minutes(place: Place, ahead_s: float, taken: bool) -> None:
    place.world.clock.advance(ahead_s)
    if taken:
        assert place.call("SearchPipeline")["RequestId"]
    else:
        assert refused(place).get_error_code() == "InvalidTimeStamp.Expired"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Action": None}, 400, "MissingAction"),
        ({"Action": "SubmitNothing"}, 404, "InvalidAction.NotFound"),
        ({"Version": None}, 400, "MissingVersion"),
        ({"Version": "2020-11-09"}, 400, "InvalidVersion"),
        ({"AccessKeyId": None}, 400, "MissingAccessKeyId"),
        ({"AccessKeyId": "LTAInobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"SignatureNonce": None}, 400, "MissingSignatureNonce"),
        ({"SignatureMethod": "HMAC-MD5"}, 400, "InvalidSignatureMethod"),
        ({"SignatureVersion": "2.0"}, 400, "InvalidSignatureMethod"),
        ({"Signature": None}, 400, "IncompleteSignature"),
        ({"Timestamp": None}, 400, "MissingTimestamp"),
        ({"Timestamp": "2026-01-02 03:04:05"}, 400, "InvalidTimeStamp.Format"),
        ({"RegionId": "cn-beijing"}, 400, "InvalidParameter.ServiceNotSupportRegion"),
    ],
)
def test_gateway_refuses(place: Place, changes: dict[str, str | None], status: int, code: str) -> None:
    answer = get(place, signed(place, Format="JSON", **changes))
    assert (answer.status_code, answer.json()["Code"]) == (status, code)
    assert answer.json()["HostId"] == f"mts.{REGION}.aliyuncs.com"
    assert answer.json()["RequestId"]


def test_method_name_is_taken_in_any_capitalisation(place: Place) -> None:
    assert get(place, signed(place, SignatureMethod="Hmac-SHA1")).status_code == 200


def test_xml_is_the_default_format(place: Place) -> None:
    answer = get(place, signed(place))
    assert answer.headers["Content-Type"].startswith("application/xml")
    root = ElementTree.fromstring(answer.text)
    assert root.tag == "SearchPipelineResponse"
    assert root.findtext("PipelineList/Pipeline/State") == "Active"
    refusal = ElementTree.fromstring(get(place, signed(place, Version="1")).text)
    assert refusal.tag == "Error"
    assert [each.tag for each in refusal] == ["RequestId", "HostId", "Code", "Message"]


def test_xml_lists_repeat_their_inner_element_and_escape_text(place: Place) -> None:
    place.call("AddPipeline", Name="<&>")
    root = ElementTree.fromstring(get(place, signed(place)).text)
    assert [each.findtext("Name") for each in root.iterfind("PipelineList/Pipeline")][1:] == ["<&>"]


def test_temporary_keys_need_their_token_and_end(place: Place) -> None:
    pair = place.world.tenants.add_temporary_key(place.account, expires_in_s=60)
    client = MpsClient(place.server.netloc, pair)
    assert client.call("SearchPipeline")["TotalCount"] == 1
    without = get(place, signed(place, Format="JSON", AccessKeyId=pair.access_key_id))
    assert without.json()["Code"] == "InvalidAccessKeyId.NotFound"
    wrong = get(place, signed(place, Format="JSON", AccessKeyId=pair.access_key_id, SecurityToken="wrong"))
    assert wrong.json()["Code"] == "InvalidSecurityToken.MismatchWithAccessKey"
    place.world.clock.advance(60)
    assert refused(place, client=client).get_error_code() == "InvalidSecurityToken.Expired"


def test_disabled_key_is_refused(place: Place) -> None:
    pair = place.world.tenants.add_key(place.account, active=False)
    assert refused(place, client=MpsClient(place.server.netloc, pair)).get_error_code() == "InvalidAccessKeyId.Inactive"


def test_too_many_calls_are_throttled_by_a_400(still: Place) -> None:
    place, still.service.limits.enforced = still, True
    for _ in range(100):
        place.service.limits.count(place.account.id, "SearchPipeline")
    error = refused(place)
    assert (error.get_http_status(), error.get_error_code()) == (400, "Throttling.User")
    assert place.call("AddPipeline", Name="others are not counted")["Pipeline"]
    place.world.clock.advance(1.1)
    assert place.call("SearchPipeline")["RequestId"]


def test_bursts_of_throttling_end(place: Place) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", "throttled", times=2)
    for _ in range(2):
        assert refused(place, "SubmitIProductionJob", **COVER).get_error_code() == "Throttling.User"
    assert place.call("SubmitIProductionJob", **COVER)["JobId"]
    assert len(place.world.ledger.entries()) == 1


@pytest.mark.parametrize(("kind", "accepted"), [("lost", 1), ("dropped", 0)])
def test_lost_answers_are_network_errors_and_the_ledger_knows_better(place: Place, kind: Any, accepted: int) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", kind)
    with pytest.raises(ClientException) as error:
        place.call("SubmitIProductionJob", **COVER)
    assert error.value.get_error_code() == "SDK.HttpError"
    assert len(place.world.ledger.entries()) == accepted


def test_late_answer_is_a_network_error_of_an_impatient_client(place: Place) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", "delayed", delay_s=60)
    request = place.client.request("SubmitIProductionJob", **COVER)
    request.set_read_timeout(0.2)
    with pytest.raises(ClientException):
        place.client.send(request)
    assert len(place.world.ledger.entries()) == 1


@pytest.mark.parametrize(("kind", "status"), [("html", 503), ("error_after", 500)])
def test_answers_that_are_no_json_are_unknown_errors_to_the_sdk(place: Place, kind: Any, status: int) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", kind)
    error = refused(place, "SubmitIProductionJob", **COVER)
    assert (error.get_http_status(), error.get_error_code()) == (status, "SDK.UnknownServerError")
    assert len(place.world.ledger.entries()) == 1


def test_refusal_before_the_effect_leaves_nothing(place: Place) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", "error_before")
    error = refused(place, "SubmitIProductionJob", **COVER)
    assert (error.get_http_status(), error.get_error_code()) == (500, "InternalError")
    assert place.world.ledger.entries() == []


def test_truncated_200_is_not_an_answer(place: Place) -> None:
    place.world.faults.add("mps.SubmitIProductionJob", "truncated")
    url = f"{place.server.url}/?{urlencode(signed(place, 'POST', Action='SubmitIProductionJob', **COVER))}"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(url, timeout=30, trust_env=False)
    assert len(place.world.ledger.entries()) == 1


def test_timestamps_are_utc_without_fraction(place: Place) -> None:
    place.call("SubmitIProductionJob", **COVER)
    created = place.call("SearchPipeline")["PipelineList"]["Pipeline"][0]["CreationTime"]
    assert datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) <= place.world.clock.now()
