"""The simulated Lambda and API Gateway, spoken to by boto3 and plain HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from mediabroker_aws.simulator import Function, LambdaFront, LambdaSimulator
from tests.unit.aws import lambda_handlers as handlers
from tests.unit.aws.conftest import REGION

KEY = "k" * 20
NAMED = "tests.unit.aws.lambda_handlers"


@pytest.fixture
def front() -> Iterator[LambdaFront]:
    secrets = {"AKIDCANARY": "secret-canary"}
    with LambdaFront(LambdaSimulator(region=REGION), secrets=secrets, api_keys={KEY}) as front:
        yield front


@pytest.fixture
def client(front: LambdaFront) -> Iterator[Any]:
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    session = boto3.session.Session()  # the default one remembers the credentials of earlier tests
    client = session.client("lambda", region_name=REGION, endpoint_url=front.url, config=config)
    yield client
    client.close()


def add(front: LambdaFront, handler: Any, **more: Any) -> str:
    front.simulator.add(Function("f", handler, **more))
    return "f"


def test_invoke_answers_what_the_handler_returns(front: LambdaFront, client: Any) -> None:
    answer = client.invoke(FunctionName=add(front, handlers.echo), Payload=b'{"a": "\xc3\xa4"}')
    content = json.loads(answer["Payload"].read())
    assert (answer["StatusCode"], content["event"]) == (200, {"a": "ä"})
    assert "FunctionError" not in answer
    assert 0 < content["left_ms"] <= 900_000


def test_a_function_is_found_by_name_and_arn_with_and_without_a_qualifier(front: LambdaFront, client: Any) -> None:
    add(front, handlers.echo)
    arn = front.simulator.add(Function("f", handlers.echo))
    for name in ("f", "f:live", arn, f"{arn}:live", "123456789012:function:f"):
        assert client.invoke(FunctionName=name, Payload=b"1")["StatusCode"] == 200


def test_what_a_handler_raises_is_a_function_error(front: LambdaFront, client: Any) -> None:
    answer = client.invoke(FunctionName=add(front, handlers.fall_over), Payload=b"7")
    error = json.loads(answer["Payload"].read())
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "cannot do 7")
    assert error["stackTrace"]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"FunctionName": "nobody"}, 404, "ResourceNotFoundException"),
        ({"FunctionName": "f", "Payload": b"{"}, 400, "InvalidRequestContentException"),
        ({"FunctionName": "f", "Payload": b'"%s"' % (b"x" * (6 << 20))}, 413, "RequestTooLargeException"),
        (
            {"FunctionName": "f", "Payload": b'"%s"' % (b"x" * (1 << 20)), "InvocationType": "Event"},
            413,
            "RequestTooLargeException",
        ),
    ],
    ids=["no function", "no JSON", "too large", "too large for later"],
)
def test_invoke_refuses(front: LambdaFront, client: Any, params: dict[str, Any], status: int, code: str) -> None:
    add(front, handlers.echo)
    with pytest.raises(ClientError) as refusal:
        client.invoke(**params)
    assert refusal.value.response["Error"]["Code"] == code
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert front.simulator.invocations == []


def test_a_wrong_signature_is_refused(front: LambdaFront) -> None:
    add(front, handlers.echo)
    stranger = boto3.session.Session("AKIDCANARY", "wrong", region_name=REGION).client("lambda", endpoint_url=front.url)
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        stranger.invoke(FunctionName="f")
    stranger.close()


def test_a_dry_run_runs_nothing(front: LambdaFront, client: Any) -> None:
    assert client.invoke(FunctionName=add(front, handlers.echo), InvocationType="DryRun")["StatusCode"] == 204
    assert front.simulator.invocations == []


def test_more_invocations_than_reserved_are_throttled(front: LambdaFront, client: Any) -> None:
    busy, let_go = threading.Event(), threading.Event()

    def hold(event: Any, context: Any) -> None:
        busy.set()
        let_go.wait(60)

    add(front, hold, concurrency=1)
    client.invoke(FunctionName="f", InvocationType="Event")
    assert busy.wait(60)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        client.invoke(FunctionName="f")
    client.invoke(FunctionName="f", InvocationType="Event")  # waits for its turn instead
    let_go.set()
    assert front.simulator.wait_idle()
    assert len(front.simulator.invocations) == 2


def test_an_asynchronous_invocation_that_fails_is_tried_again_and_then_told_of(front: LambdaFront, client: Any) -> None:
    told: list[dict[str, Any]] = []
    add(front, handlers.fall_over, on_failure=told.append)
    assert client.invoke(FunctionName="f", InvocationType="Event", Payload=b"7")["StatusCode"] == 202
    assert front.simulator.wait_idle()
    assert [each.attempt for each in front.simulator.invocations] == [1, 2, 3]
    assert len({each.request_id for each in front.simulator.invocations}) == 1
    assert (told[0]["requestContext"]["condition"], told[0]["requestPayload"]) == ("RetriesExhausted", 7)
    assert told[0]["responsePayload"]["errorType"] == "ValueError"


def test_asynchronous_invocations_are_duplicated_delayed_and_dropped_on_demand(front: LambdaFront, client: Any) -> None:
    add(front, handlers.echo)
    for kind in ("duplicated", "dropped", "delayed"):
        front.simulator.faults.add("Event", kind, when=lambda params, kind=kind: params["payload"] == kind)
        client.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps(kind))
    assert front.simulator.wait_idle()
    assert [each.payload for each in front.simulator.invocations] == ["duplicated", "duplicated"]
    front.simulator.release()
    assert front.simulator.wait_idle()
    assert front.simulator.invocations[-1].payload == "delayed"


def test_a_lost_answer_leaves_the_invocation_done(front: LambdaFront, client: Any) -> None:
    add(front, handlers.echo)
    front.simulator.faults.add("Invoke", "lost")
    with pytest.raises(ConnectionClosedError):
        client.invoke(FunctionName="f")
    assert len(front.simulator.invocations) == 1


def test_named_handlers_see_only_their_own_environment_and_stay_warm(
    front: LambdaFront, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_TEST", "1")
    for name in ("one", "two"):
        handler = f"{NAMED}.environment"
        front.simulator.add(Function(name, handler, environment={"OWN": name, f"ONLY_{name}": "1"}))

    def ask(name: str) -> Any:
        asked = json.dumps(["OWN", "ONLY_one", "ONLY_two", "OF_THE_TEST", "AWS_LAMBDA_FUNCTION_NAME"])
        return json.loads(client.invoke(FunctionName=name, Payload=asked)["Payload"].read())

    first, second, again = ask("one"), ask("two"), ask("one")
    assert list(first["seen"].values()) == ["one", "1", None, None, "one"]
    assert list(second["seen"].values()) == ["two", None, "1", None, "two"]
    assert (first["calls"], second["calls"], again["calls"]) == (1, 1, 2)


def test_a_named_handler_that_dies_or_is_late_is_a_function_error(front: LambdaFront, client: Any) -> None:
    front.simulator.add(Function("dies", f"{NAMED}.crash"))
    front.simulator.add(Function("late", f"{NAMED}.sleep", timeout_s=0.1))
    front.simulator.add(Function("lost", f"{NAMED}.nowhere"))
    kinds = {}
    for name in ("dies", "late", "lost"):
        kinds[name] = json.loads(client.invoke(FunctionName=name)["Payload"].read())["errorType"]
    assert kinds == {"dies": "Runtime.ExitError", "late": "Sandbox.Timedout", "lost": "Runtime.ImportModuleError"}


def test_threads_and_an_environment_of_their_own_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"module\.function"):
        Function("f", handlers.echo, environment={"A": "1"})


def post(front: LambdaFront, path: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{front.url}{path}", headers={"x-api-key": KEY}, timeout=60, trust_env=False, **more)


def test_a_route_hands_its_function_a_proxy_event(front: LambdaFront) -> None:
    seen: list[Any] = []

    def look(event: Any, context: Any) -> Any:
        seen.append(event)
        return handlers.page(event, context)

    front.add_route("POST", "/prod/jobs/{id}", add(front, look))
    answer = post(front, "/prod/jobs/a%20b?x=1&x=2&y=", content='{"ä": 1}')
    assert (answer.status_code, answer.headers["x-mine"], answer.text) == (201, "yes", "/jobs/a b")
    (event,) = seen
    assert (event["resource"], event["httpMethod"], event["pathParameters"]) == ("/jobs/{id}", "POST", {"id": "a b"})
    assert (event["body"], event["isBase64Encoded"]) == ('{"ä": 1}', False)
    assert event["queryStringParameters"] == {"x": "2", "y": ""}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert event["requestContext"]["identity"]["apiKey"] == KEY
    assert event["requestContext"]["stage"] == "prod"


def test_an_absent_or_wrong_key_is_forbidden(front: LambdaFront) -> None:
    url = front.add_route("POST", "/prod/f", add(front, handlers.page))
    for headers in ({}, {"x-api-key": "wrong"}):
        answer = httpx.post(url, headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert front.simulator.invocations == []


def test_an_open_route_wants_no_key_and_no_route_is_forbidden_too(front: LambdaFront) -> None:
    url = front.add_route("GET", "/prod/f", add(front, handlers.page), authorization="none")
    assert httpx.get(url, trust_env=False).status_code == 201
    assert httpx.post(url, trust_env=False).json() == {"message": "Missing Authentication Token"}
    signed = front.add_route("GET", "/prod/signed", "f", authorization="iam")
    assert httpx.get(signed, trust_env=False).status_code == 403


@pytest.mark.parametrize(
    "handler",
    [
        lambda event, context: ["no", "object"],
        lambda event, context: {"videos": []},
        lambda event, context: {"statusCode": 200, "body": {"not": "a string"}},
        lambda event, context: {"statusCode": "soon"},
        handlers.fall_over,
    ],
)
def test_what_is_no_proxy_answer_is_a_bad_gateway(front: LambdaFront, handler: Callable[..., Any]) -> None:
    front.add_route("POST", "/prod/f", add(front, handler))
    answer = post(front, "/prod/f")
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_the_gateway_does_not_wait_longer_than_it_may() -> None:
    let_go = threading.Event()
    with LambdaFront(LambdaSimulator(), api_keys={KEY}, integration_timeout_s=0.05) as front:
        front.add_route("POST", "/prod/f", add(front, lambda event, context: let_go.wait(60)))
        answer = post(front, "/prod/f")
        let_go.set()
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})


def test_routes_are_throttled_and_lose_answers_on_demand(front: LambdaFront) -> None:
    front.add_route("POST", "/prod/f", add(front, handlers.page))
    front.simulator.faults.add("POST /prod/f", "throttled")
    front.simulator.faults.add("POST /prod/f", "lost")
    assert post(front, "/prod/f").status_code == 429
    with pytest.raises(httpx.RemoteProtocolError):
        post(front, "/prod/f")
    assert len(front.simulator.invocations) == 1
