"""No secret in any text: known values, and the forms in which anyone's are written."""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from mediabroker import Broker, ErrorCode, InvalidJobError, JobError, JobState, Transcode, UnsupportedError
from mediabroker.config import BrokerSettings
from mediabroker.errors import ConfigurationError, ProviderError
from mediabroker.models import Value, build_settings
from mediabroker.redaction import RedactingFilter, keep_secret, redact
from mediabroker_alibaba.settings import AlibabaSettings
from mediabroker_aws.settings import AwsSettings, BatchSettings, LambdaSettings, ServiceSettings
from mediabroker_local.settings import LocalSettings
from tests.ledger import LedgerProvider

CANARY = "canary-7f3a9c51d2"
_SETTINGS = (AlibabaSettings, AwsSettings, BatchSettings, LambdaSettings, LocalSettings, ServiceSettings)


class FarmSettings(Value, frozen=True):
    """Of a plug-in with a key."""

    api_key: SecretStr
    other: ClassVar[int] = 0


@pytest.fixture(autouse=True)
def _known() -> None:
    build_settings(FarmSettings, "providers.farm", {"api_key": CANARY})


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2secret@host/x",
        "mns://u:hunter2secret@1234.mns.cn-x.aliyuncs.com/queues/q",
        "GET /a?X-Amz-Signature=hunter2secret&x=1",
        "https://b.oss-cn-x.aliyuncs.com/a?OSSAccessKeyId=id&Signature=hunter2secret",
        "{'X-Amz-Security-Token': 'hunter2secret'}",
        "x-amz-security-token:hunter2secret",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/2026, Signature=hunter2secret",
        "'Authorization': b'MNS id:hunter2secret'",
        "the key hunter2 canary-7f3a9c51d2 is wrong",
    ],
)
def test_a_secret_of_a_known_value_or_form_is_masked(text: str) -> None:
    masked = redact(text)
    assert "hunter2secret" not in masked
    assert CANARY not in masked
    assert "***" in masked


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("file:///a/b.mp4 has 10 bytes", "s3://bucket/key=1&x", "signature v4", "token 5 of 9", "a@b.example"):
        assert redact(text) == text


def test_errors_of_all_kinds_hold_no_secret_in_text_chain_or_pickle() -> None:
    error = ProviderError(f"wrong key {CANARY}", raw={"echo": [f"x {CANARY}"]})
    told = JobError.of(ErrorCode.AUTH, f"wrong key {CANARY}", raw={"echo": CANARY}, provider_code=CANARY)
    refused = UnsupportedError("input https://host/a?X-Amz-Signature=0123456789abcdef cannot be read")
    for each in (str(error), repr(error), str(error.raw), str(told), repr(told), told.model_dump_json(), str(refused)):
        assert CANARY not in each
        assert "0123456789abcdef" not in each
    assert CANARY.encode() not in pickle.dumps(error) + pickle.dumps(told)


@pytest.mark.parametrize(
    "uri",
    ["https://user:hunter2secret@host/a.mp4", "https://host/a\tb?Signature=hunter2secret", "oss://u:hunter2secret@b/k"],
)
def test_a_spec_with_credentials_is_refused_without_repeating_them(uri: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        Transcode(input=uri, output="/tmp/out.mp4")
    said = "".join(traceback.format_exception(caught.value))
    assert "hunter2secret" not in said
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("cls", "field", "others"),
    [
        (BrokerSettings, "token_key", {}),
        (LambdaSettings, "api_key", {"url": "https://x.execute-api.eu-west-1.amazonaws.com/prod"}),
        (
            ServiceSettings,
            "api_key",
            {"service_url": "https://x.execute-api.eu-west-1.amazonaws.com/prod", "bucket": "media"},
        ),
    ],
)
def test_settings_that_hold_a_key_show_it_nowhere(cls: type[Value], field: str, others: dict[str, str]) -> None:
    key = f"{field}-{CANARY}".ljust(32, "0")
    settings = build_settings(cls, "here", {field: key, **others})
    assert key in str(getattr(settings, field).get_secret_value())
    for said in (str(settings), repr(settings), settings.model_dump_json(), redact(f"key {key}")):
        assert key not in said
    with pytest.raises(ConfigurationError) as caught:
        build_settings(cls, "here", {field: key, "nonsense": key, **others})
    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cls", [BrokerSettings, *_SETTINGS])
def test_every_setting_that_sounds_like_a_secret_is_typed_as_one(cls: type[Value]) -> None:
    sounding = {name for name in cls.model_fields if re.search(r"secret|password|(^|_)key$", name)}
    assert {name for name in sounding if "SecretStr" not in str(cls.model_fields[name].annotation)} == set()


def test_the_shipped_filter_masks_what_any_logger_says_at_debug() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("botocore.auth.test")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        logger.debug("headers: %s", {"X-Amz-Security-Token": "hunter2secret"})
        try:
            int(f"bad {CANARY}")
        except ValueError:
            logger.exception("failed with %s", CANARY)
    finally:
        logger.removeHandler(handler)
    assert "hunter2secret" not in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_secret_is_masked_as_it_is_written_in_urls_and_in_json() -> None:
    secret = 'wJalr/K7+MDENG="quoted"\\é'
    keep_secret(secret)
    for written in (quote(secret), quote(secret, safe=""), json.dumps({"said": secret}), secret):
        assert "MDENG" not in redact(f"it said {written}.")


def test_a_secret_that_begins_another_leaves_no_rest_of_it() -> None:
    longest = "begins-alike-" + "0123456789" * 3
    for length in range(len(longest), 12, -1):
        keep_secret(longest[:length])
    assert redact(f"it is {longest}.") == "it is ***."


def test_a_secret_that_is_learned_while_another_thread_masks_disturbs_it_not() -> None:
    class Growing(str):
        """A text in which each search has another secret become known."""

        def __contains__(self, part: str, /) -> bool:
            keep_secret(f"learned-meanwhile-{part}")
            return super().__contains__(part)

    assert redact(Growing(f"it is {CANARY}")) == "it is ***"


@pytest.fixture
def logged() -> Iterator[tuple[logging.Logger, logging.StreamHandler[io.StringIO]]]:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("filtered.test")
    logger.addHandler(handler)
    yield logger, handler
    logger.removeHandler(handler)


def test_the_filter_raises_nothing_where_a_log_text_does_not_fit_its_values(
    logged: tuple[logging.Logger, logging.StreamHandler[io.StringIO]],
) -> None:
    logger, handler = logged
    logger.warning("%d items", CANARY)
    assert handler.stream.getvalue() == "'%d items' ('***',)\n"


def test_a_formatter_that_shows_errors_in_its_own_way_shows_no_secret(
    logged: tuple[logging.Logger, logging.StreamHandler[io.StringIO]],
) -> None:
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{record.getMessage()}: {record.exc_info}, {record.exc_text}"

    logger, handler = logged
    handler.setFormatter(Own())
    try:
        int(f"bad {CANARY}")
    except ValueError:
        logger.exception("failed")
    assert "invalid literal" in handler.stream.getvalue()
    assert CANARY not in handler.stream.getvalue()


def test_a_key_that_a_vendor_echoes_reaches_neither_error_event_log_nor_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vendor = LedgerProvider("ledger", {"folder": tmp_path / "vendor"})

    def refuse(call: Any, fault: str) -> Any:
        raise ProviderError(f"invalid key {CANARY}", raw={"message": f"key={CANARY}"})

    vendor.ledger.start = refuse  # type: ignore[method-assign]  # a vendor that repeats what it was sent
    settings = BrokerSettings(store=f"sqlite:///{tmp_path / 'jobs.db'}")
    caplog.set_level(logging.DEBUG)
    with Broker(settings, providers={"ledger": vendor}) as broker:
        job = broker.submit(Transcode(input=__file__, output=tmp_path / "out.mp4"))
        assert job.state is JobState.FAILED
        texts = [str(job.error), repr(job), *(each.model_dump_json() for each in job.events(follow=False))]
    assert not [each for each in (*texts, caplog.text) if CANARY in each]
    for file in tmp_path.glob("jobs.db*"):
        assert CANARY.encode() not in file.read_bytes()
