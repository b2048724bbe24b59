"""The super-resolution service, whatever happens to its answers and to itself: one request, one chain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from mediabroker.refs import token_for
from mediabroker_aws.functions.upscale.api import make_handler
from mediabroker_aws.functions.upscale.jobs import UpscaleJobs
from mediabroker_aws.functions.upscale.settings import UpscaleSettings
from mediabroker_aws.simulator import Exited
from tests.unit.aws.upscaling import Service, error_of
from tests.unit.broker.conftest import HandClock

_SETTLE_S = 90.0
_CLIP = {"key": "in/clip.mp4", "segment_time": 1}
_CHAIN = ["array", "merge"]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def service(tmp_path: Path, clock: HandClock) -> Iterator[Service]:
    with closing(Service(tmp_path, clock=clock, settle_time_s=_SETTLE_S)) as service:
        service.account.simulator.lifecycle.clock = clock
        yield service


def held(answer: httpx.Response, status: int = 503) -> float:
    """Seconds after which to ask again."""
    assert answer.status_code == status, answer.text
    assert error_of(answer)["message"]
    return float(answer.headers["Retry-After"])


@pytest.mark.parametrize("fault", ["lost", "truncated", "html", "empty", "error_after"])
@pytest.mark.parametrize("step", _CHAIN)
def test_a_lost_answer_of_batch_is_found_again(service: Service, fault: str, step: str) -> None:
    service.spoil(fault, step)
    assert service.post(_CLIP).json()["state"] == "QUEUED"
    assert service.steps() == _CHAIN


@pytest.mark.parametrize("step", _CHAIN)
@pytest.mark.parametrize("again", ["post", "get"])
def test_a_list_that_lags_starts_no_second_chain(service: Service, clock: HandClock, step: str, again: str) -> None:
    service.account.simulator.list_lag_s = _SETTLE_S / 2
    service.spoil("lost", step)
    assert held(service.post(_CLIP, key="k")) > 0
    assert held(service.post(_CLIP, key="k")) > 0
    (job,) = service.get("/jobs", token="k").json()["jobs"]
    assert (job["state"], "is unknown" in job["hold_reason"]) == ("SUBMITTING", True)
    clock.advance(_SETTLE_S / 2)
    healed = service.post(_CLIP, key="k") if again == "post" else service.get(f"/jobs/{job['id']}")
    assert (healed.json()["id"], healed.json()["state"]) == (job["id"], "QUEUED")
    assert service.steps() == _CHAIN


@pytest.mark.parametrize("step", _CHAIN)
def test_a_submit_that_was_never_accepted_is_sent_again_when_lists_have_settled(
    service: Service, clock: HandClock, step: str
) -> None:
    service.spoil("error_before", step)
    held(service.post(_CLIP, key="k"))
    clock.advance(_SETTLE_S + 1)
    assert service.post(_CLIP, key="k").status_code == 202
    assert service.steps() == _CHAIN


def test_throttling_before_anything_was_started_is_a_429(service: Service) -> None:
    service.spoil("throttled", "array", times=3)
    assert held(service.post(_CLIP), status=429) > 0
    assert service.steps() == []
    assert service.post(_CLIP).status_code == 202
    assert service.steps() == _CHAIN


def test_throttling_between_the_submits_leaves_a_chain_to_go_on_with(service: Service) -> None:
    busy = [True]
    service.account.simulator.faults.add(
        "SubmitJob", "throttled", times=1000, when=lambda params: busy[0] and params["jobName"].endswith("merge")
    )
    assert held(service.post(_CLIP, key="k")) > 0
    assert service.steps() == ["array"]
    busy.clear()
    busy.append(False)
    assert service.get("/jobs", token="k").json()["jobs"][0]["state"] == "QUEUED"
    assert service.steps() == _CHAIN


def test_a_search_that_fails_ends_nothing(service: Service) -> None:
    service.spoil("lost", "merge")
    service.account.simulator.faults.add("ListJobs", "throttled", times=3)
    assert service.post(_CLIP).json()["state"] == "QUEUED"
    assert service.steps() == _CHAIN


@pytest.mark.parametrize("key", [None, "k"])
def test_a_request_whose_answer_was_lost_may_be_repeated(service: Service, key: str | None) -> None:
    service.rig.front.simulator.faults.add("POST /prod", "lost")
    with pytest.raises(httpx.TransportError):
        service.post(_CLIP, key=key)
    assert service.post(_CLIP, key=key).status_code == 202
    assert service.steps() == _CHAIN


@pytest.mark.parametrize("key", [None, "k"])
def test_many_requests_at_once_are_one_job(service: Service, key: str | None) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: service.post(_CLIP, key=key), range(6)))
    assert {answer.status_code for answer in answers} <= {202, 503}
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert ids == {service.post(_CLIP, key=key).json()["id"]}
    assert service.steps() == _CHAIN


def test_a_key_belongs_to_one_request(service: Service) -> None:
    first = service.post(_CLIP, key="k").json()
    assert service.post({**_CLIP, "scale": "2", "task": "inference"}, key="k").json()["id"] == first["id"]
    conflict = service.post({**_CLIP, "scale": 4}, key="k")
    assert (conflict.status_code, error_of(conflict)["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert first["id"] in error_of(conflict)["message"]
    assert service.post({**_CLIP, "scale": 4}, key="another").status_code == 202
    assert service.post(_CLIP, key="x" * 257).status_code == 400
    assert service.get("/jobs", token="nobody's").json() == {"jobs": []}


def test_two_callers_may_use_the_same_key(service: Service) -> None:
    ids = {json.loads(start(service.rig.handler, caller)["body"])["id"] for caller in ("one", "another", "one")}
    assert len(ids) == 2


def start(handler: Callable[[Any, Any], Any], caller: str, **fields: Any) -> Any:
    """One request with a key, as the gateway hands it on."""
    body = {"key": "in/clip.mp4", "scale": 2 if caller == "one" else 4, **fields}
    event = {
        "httpMethod": "POST",
        "path": "/",
        "headers": {"Idempotency-Key": "k"},
        "body": json.dumps(body),
        "requestContext": {"identity": {"apiKeyId": caller}, "accountId": "123456789012"},
    }
    return handler(event, None)


def test_without_a_key_a_request_is_made_again_only_when_its_job_came_to_nothing(service: Service) -> None:
    failed = service.post(_CLIP).json()["id"]
    service.account.executor.script(f"mb-{token_for(failed, 1)}-array", Exited(65), index=0)
    assert service.post(_CLIP).json()["id"] == failed
    service.advance()
    second = service.post(_CLIP).json()["id"]
    assert second != failed
    service.advance()
    assert service.get(f"/jobs/{failed}").json()["state"] == "FAILED"
    assert (service.post(_CLIP).json()["id"], service.post(_CLIP).json()["state"]) == (second, "SUCCEEDED")


def test_without_a_key_a_finished_job_answers_until_its_output_is_gone(service: Service) -> None:
    first = service.post(_CLIP).json()["id"]
    service.advance()
    assert service.post(_CLIP).json()["state"] == "SUCCEEDED"
    service.account.s3.delete_object(Bucket=service.account.bucket, Key="out/clip_x2.mp4")
    assert service.post(_CLIP).json()["id"] != first


def test_without_a_key_a_replaced_source_is_another_request(service: Service) -> None:
    first = service.post(_CLIP).json()["id"]
    service.put("in/clip.mp4", service.clip.read_bytes() + b"\x00\x00\x00\x08free")
    assert service.post({**_CLIP, "output": "out/b.mp4"}).json()["id"] != first


@pytest.mark.parametrize("step", _CHAIN)
def test_a_cancel_reaches_what_nobody_knows_to_be_there(service: Service, clock: HandClock, step: str) -> None:
    service.account.simulator.list_lag_s = _SETTLE_S / 2
    service.spoil("lost", step)
    held(service.post(_CLIP, key="k"))
    (job,) = service.get("/jobs", token="k").json()["jobs"]
    assert service.delete(f"/jobs/{job['id']}").json()["outcome"] == "REQUESTED"
    clock.advance(_SETTLE_S / 2)
    service.get(f"/jobs/{job['id']}")
    service.advance()
    assert service.get(f"/jobs/{job['id']}").json()["state"] == "CANCELLED"
    assert all(each.status == "FAILED" for each in service.account.simulator.jobs())
    assert service.post(_CLIP, key="k").json()["state"] == "CANCELLED"


_REQUEST = """
import json, sys
from tests.reliability.test_upscale_service import serve_one
serve_one(json.load(sys.stdin))
"""


def serve_one(settings: Mapping[str, Any]) -> None:
    """Runs in the child that is killed."""
    start(make_handler(UpscaleJobs(UpscaleSettings.model_validate(settings))), "one", segment_time=1)


@pytest.mark.parametrize("step", _CHAIN)
@pytest.mark.parametrize("fault", ["error_before", "lost"], ids=["before-it-is-accepted", "after-it-is-accepted"])
def test_kill_9_between_the_submits_leaves_exactly_one_chain(service: Service, step: str, fault: Any) -> None:
    child: list[int] = []

    def strike(params: Mapping[str, Any]) -> bool:
        if not params["jobName"].endswith(step):
            return False
        os.kill(child[0], signal.SIGKILL)
        return True

    service.account.simulator.faults.add("SubmitJob", fault, when=strike)
    settings = {**service.rig.jobs.settings.model_dump(), "settle_time_s": 0}
    with subprocess.Popen([sys.executable, "-c", _REQUEST], stdin=subprocess.PIPE, text=True) as process:
        child.append(process.pid)
        process.communicate(json.dumps(settings), timeout=120)
    assert process.returncode == -signal.SIGKILL
    with closing(UpscaleJobs(UpscaleSettings.model_validate(settings))) as jobs:
        assert start(make_handler(jobs), "one", segment_time=1)["statusCode"] == 202
    assert service.steps() == _CHAIN
