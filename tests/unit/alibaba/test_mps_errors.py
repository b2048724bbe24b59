"""The vendor's error codes in our words."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker_alibaba.mps.client import MpsClient
from mediabroker_alibaba.mps.errors import explain_failure, refusal, refusal_error, unanswered
from mediabroker_alibaba.settings import MpsSettings

CODES: list[tuple[str, int, type[ProviderError], ErrorCode, bool]] = [
    ("Throttling", 400, ThrottledError, ErrorCode.RATE_LIMITED, True),
    ("Throttling.User", 400, ThrottledError, ErrorCode.RATE_LIMITED, True),
    ("Throttling.Api", 400, ThrottledError, ErrorCode.RATE_LIMITED, True),
    ("SignatureDoesNotMatch", 400, AuthenticationError, ErrorCode.AUTH, False),
    ("InvalidAccessKeySecret", 400, AuthenticationError, ErrorCode.AUTH, False),
    ("InvalidAccessKeyId.NotFound", 404, AuthenticationError, ErrorCode.AUTH, False),
    ("InvalidAccessKeyId.Inactive", 400, AuthenticationError, ErrorCode.AUTH, False),
    ("InvalidTimeStamp.Expired", 400, AuthenticationError, ErrorCode.AUTH, False),
    ("Forbidden.RAM", 403, AuthenticationError, ErrorCode.AUTH, False),
    ("InvalidIdentity.ServiceDisabled", 403, AuthenticationError, ErrorCode.AUTH, False),
    ("PermissionDenied.ResourceQuotaExceed", 403, ProviderError, ErrorCode.QUOTA, False),
    ("PermissionDenied.ResourceAccess", 403, ProviderError, ErrorCode.INPUT_DENIED, False),
    ("InvalidParameter", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidParameter.JsonObjectFormatInvalid", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidParameter.ResourceNotFound", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidParameter.ResourceContentBad", 400, ProviderError, ErrorCode.MEDIA_CORRUPT, False),
    ("InvalidParameter.TemplateNotFound", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidParameter.LocationInvalid", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidParameter.ServiceNotSupportRegion", 400, ProviderError, ErrorCode.UNSUPPORTED, False),
    ("MissingFunctionName", 400, ProviderError, ErrorCode.INVALID_SPEC, False),
    ("InvalidAction.NotFound", 404, ProviderError, ErrorCode.UNSUPPORTED, False),
    ("InternalError", 500, UnavailableError, ErrorCode.PROVIDER_INTERNAL, True),
    ("ServiceUnavailable", 503, UnavailableError, ErrorCode.PROVIDER_INTERNAL, True),
    ("SDK.UnknownServerError", 503, UnavailableError, ErrorCode.PROVIDER_INTERNAL, True),
    ("FromTheFuture", 403, AuthenticationError, ErrorCode.AUTH, False),
]


@pytest.mark.parametrize(("code", "status", "kind", "meant", "retryable"), CODES, ids=str)
def test_a_code_has_a_class_a_meaning_and_a_blame(
    code: str, status: int, kind: type[ProviderError], meant: ErrorCode, retryable: bool
) -> None:
    error = refusal(code, "a message", operation="SubmitJobs", status=status, request_id="R")
    assert type(error) is kind
    assert (error.provider_code, error.request_id, error.operation) == (code, "R", "SubmitJobs")
    assert error.retryable is retryable
    told = refusal_error(error)
    assert (told.code, told.retryable, told.request_id) == (meant, retryable, "R")


@pytest.mark.parametrize(
    "repeated",
    [
        " server string to sign is:POST&%2F&SecurityToken%3Dcanary",
        " Server StringToSign is: POST&%2F&SecurityToken%3Dcanary",
        " server string-to-sign:POST\n%2F\nSecurityToken%3Dcanary",
        " <a href='http://mts/?Action=SubmitJobs&SecurityToken=canary'>",
        " http://mts/?Signature=x&SecurityToken=canary",
    ],
)
def test_a_message_that_repeats_the_request_is_cut_before_it(repeated: str) -> None:
    error = refusal("SignatureDoesNotMatch", f"Not matched.{repeated}", operation="SubmitJobs", status=400)
    assert str(error).startswith("SubmitJobs: Not matched")
    assert "canary" not in str(error)
    assert "canary" not in refusal_error(error).model_dump_json()


def test_a_message_about_a_token_is_kept() -> None:
    said = "Specified SecurityToken is expired."
    assert said in str(refusal("InvalidSecurityToken.Expired", said, operation="SubmitJobs", status=400))


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "SignatureNonceUsed"])
def test_a_create_that_may_have_been_accepted_is_unknown(code: str) -> None:
    assert type(refusal(code, "", operation="SubmitJobs", status=500, creates=True)) is SubmissionUnknownError


@pytest.mark.parametrize(
    ("cause", "sent"),
    [
        ("NewConnectionError('…: Failed to establish a new connection: [Errno 111] Connection refused')", False),
        ("ConnectTimeoutError(…)", False),
        ("SSLError(… CERTIFICATE_VERIFY_FAILED)", False),
        ("ProxyError('Cannot connect to proxy.', NewConnectionError('…'))", False),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 no'))", False),
        ("ProxyError('Cannot connect to proxy.', RemoteDisconnected('… closed connection without response'))", True),
        ("ProxyError('Cannot connect to proxy.', ConnectionResetError(104, 'Connection reset by peer'))", True),
        ("ReadTimeoutError(…)", True),
    ],
)
def test_only_a_request_that_was_sent_may_have_been_accepted(cause: str, sent: bool) -> None:
    # The URL is quoted before the cause, and with it names that a caller has chosen.
    words = f"Max retries exceeded with url: /?Signature=x&Input=ConnectTimeout.mp4 (Caused by {cause})"
    create = unanswered(words, operation="SubmitJobs", creates=True)
    assert type(create) is (SubmissionUnknownError if sent else UnavailableError)
    assert "Signature" not in str(create)
    assert type(unanswered(words, operation="QueryJobList", creates=False)) is UnavailableError


@pytest.mark.parametrize(
    "words",
    [
        "HTTPConnectionPool(host='mts', port=80): Read timed out. (read timeout=10)",
        "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        "",
    ],
)
def test_a_create_that_broke_without_a_cause_may_have_been_accepted(words: str) -> None:
    assert type(unanswered(words, operation="SubmitJobs", creates=True)) is SubmissionUnknownError


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("InvalidParameter.ResourceNotFound", ErrorCode.INPUT_NOT_FOUND),
        ("InvalidParameter.NoAudioStream", ErrorCode.MEDIA_UNSUPPORTED),
        ("NoSuchKey", ErrorCode.INPUT_NOT_FOUND),
        ("FromTheFuture", ErrorCode.UNKNOWN),
        ("", ErrorCode.UNKNOWN),
        (None, ErrorCode.UNKNOWN),
    ],
)
def test_why_an_accepted_job_failed(code: object, meant: ErrorCode) -> None:
    error = explain_failure(code, None)
    assert error.code is meant
    assert error.message


def test_an_object_that_is_in_the_way_keeps_its_own_code() -> None:
    assert refusal_error(ProviderError("in the way", provider_code="OUTPUT_EXISTS")).code is ErrorCode.OUTPUT_EXISTS


class _Redirecting(BaseHTTPRequestHandler):
    """Sends every client elsewhere, with a page that no SDK can read."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "https://elsewhere.invalid/")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"moved")

    do_POST = do_GET  # noqa: N815  the base class names them

    def log_message(self, *_: object) -> None:
        return None


def test_a_redirect_is_a_refusal_also_of_a_create(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret-canary")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Redirecting)
    Thread(target=server.serve_forever, daemon=True).start()
    client = MpsClient(MpsSettings(region="cn-shanghai", endpoint_url=f"http://127.0.0.1:{server.server_port}"))
    try:
        with pytest.raises(ProviderError, match="redirected") as caught:
            client.send("SubmitJobs", {"Input": "{}"}, creates=True)
    finally:
        client.close()
        server.shutdown()
        server.server_close()
    assert not isinstance(caught.value, SubmissionUnknownError)
    assert not caught.value.retryable
