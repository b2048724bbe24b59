"""Queue URLs: every form that the vendor shows, and nothing that is none."""

from __future__ import annotations

import pytest

from mediabroker.callbacks.sources import open_source
from mediabroker.errors import ConfigurationError
from mediabroker_alibaba import MnsSource
from mediabroker_alibaba.mns.url import build_notify_url, parse_queue_url

HOST = "1234.mns.cn-shanghai.aliyuncs.com"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (f"mns://{HOST}/queues/done", f"https://{HOST}"),
        (f"https://{HOST}/queues/done", f"https://{HOST}"),
        (f"http://{HOST}/queues/done/", f"http://{HOST}"),
        (
            "mns://1234.mns.cn-shanghai-internal.aliyuncs.com/queues/done",
            "https://1234.mns.cn-shanghai-internal.aliyuncs.com",
        ),
        (
            "http://1234.mns.cn-shanghai-internal-vpc.aliyuncs.com/queues/done",
            "http://1234.mns.cn-shanghai-internal-vpc.aliyuncs.com",
        ),
        ("mns://1234.mns.cn-shanghai-vpc.aliyuncs.com/queues/done", "https://1234.mns.cn-shanghai-vpc.aliyuncs.com"),
        ("mns://1234.oss-cn-shanghai.aliyuncs.com/queues/done", f"https://{HOST}"),  # a slip of the manual page
        ("mns://1234.mns.oss-cn-shanghai.aliyuncs.com/queues/done", f"https://{HOST}"),
    ],
)
def test_the_forms_of_console_and_manual_name_the_queue(url: str, endpoint: str) -> None:
    address = parse_queue_url(url)
    assert (address.endpoint, address.queue) == (endpoint, "done")
    assert (address.account, address.region) == ("1234", "cn-shanghai")


@pytest.mark.parametrize("host", ["mns.cn-shanghai", "oss-cn-shanghai", "mns.oss-cn-shanghai"])
def test_mps_is_told_a_queue_in_the_form_that_names_one(host: str) -> None:
    assert build_notify_url(f"mns://1234.{host}.aliyuncs.com/queues/done") == f"mns://{HOST}/queues/done"
    inside = "mns://1234.mns.cn-shanghai-internal-vpc.aliyuncs.com/queues/done"
    assert build_notify_url(inside) == inside


@pytest.mark.parametrize(
    "region", ["cn-hangzhou", "ap-southeast-1", "us-west-1", "cn-hongkong", "cn-beijing-finance-1"]
)
def test_every_form_of_region_is_understood(region: str) -> None:
    assert parse_queue_url(f"mns://1.mns.{region}.aliyuncs.com/queues/q").region == region


def test_this_machine_is_spoken_to_without_tls_and_others_may_stand_in() -> None:
    assert parse_queue_url("mns://127.0.0.1:9000/queues/q").endpoint == "http://127.0.0.1:9000"
    assert parse_queue_url("mns://mns.example.com/queues/q").endpoint == "https://mns.example.com"
    elsewhere = parse_queue_url(f"mns://{HOST}/queues/q", endpoint_url="http://127.0.0.1:9000/")
    assert (elsewhere.endpoint, elsewhere.region) == ("http://127.0.0.1:9000", "cn-shanghai")


@pytest.mark.parametrize(
    "url",
    [
        "mns://",
        f"mns://{HOST}",
        f"mns://{HOST}/topics/t",
        f"mns://{HOST}/queues/",
        f"mns://{HOST}/queues/a/b",
        f"mns://{HOST}/queues/-a",
        f"mns://user:secret@{HOST}/queues/q",
        f"mns://{HOST}/queues/q?x=1",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        "https://bucket.oss-cn-shanghai.aliyuncs.com/queues/q",
        "ftp://1234.mns.cn-shanghai.aliyuncs.com/queues/q",
        "mns://1234.mns.cn-shanghai.aliyuncs.com/queues/q\r\nx: y",
    ],
)
def test_what_names_no_queue_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write mns://<account>.mns.<region>.aliyuncs.com/queues/<queue>"):
        parse_queue_url(url)


def test_all_schemes_share_one_table_of_settings() -> None:
    for scheme in ("mns", "http", "https"):
        source = open_source(f"{scheme}://{HOST}/queues/q", {"mns": {"long_poll_s": 3}})
        assert isinstance(source, MnsSource)
        assert source._settings.long_poll_s == 3
        source.close()
    with pytest.raises(ConfigurationError, match=r"sources.mns: long_pol_s"):
        open_source(f"https://{HOST}/queues/q", {"mns": {"long_pol_s": 3}})
