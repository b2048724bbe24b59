"""The signature of MNS against numbers that others have computed."""

from __future__ import annotations

import pytest

from mediabroker_alibaba.mns.signing import sign, string_to_sign

DATE = "Fri, 02 Jan 2026 03:04:05 GMT"
XML = "text/xml;charset=UTF-8"


def test_the_java_sdks_own_vector_is_met() -> None:
    headers = [("Content-Type", XML), ("Date", "Tue, 03 Jun 2025 11:23:48 GMT"), ("x-mns-version", "2015-06-06")]
    text = string_to_sign("PUT", "/queues/TestQueue", headers)
    assert text == (
        f"PUT\n\n{XML}\nTue, 03 Jun 2025 11:23:48 GMT\nx-mns-version:2015-06-06\n/queues/TestQueue"
    )  # from the unit test of aliyun-mns-java-sdk
    assert sign("accessKeySecret111", text) == "HCSlBi5KuXGNf06tZKFiQlNDt4c="


@pytest.mark.parametrize(
    ("method", "target", "more", "signature"),
    [
        (
            "POST",
            "/queues/q-1/messages",
            [("content-md5", "ZmNhMzI5NGRmMmU4NzJjZjJiZTMwYjU5ZWNhZGU0MGE="), ("content-type", XML)],
            "EQyumQKpFdTNQZS+9c/94ZCdRwo=",
        ),
        (
            "DELETE",
            "/queues/q-1/messages?ReceiptHandle=1-ODU4OTkzNDU5My0xNDMyNzI3ODI3LTItOA==",
            [],
            "XvhpTFiaclf3cMGJgeag6ViLK/o=",
        ),
    ],
)  # recorded from aliyun-mns-sdk 1.3.0
def test_the_python_sdks_requests_are_signed_alike(
    method: str, target: str, more: list[tuple[str, str]], signature: str
) -> None:
    headers = [("x-mns-version", "2015-06-06"), ("date", DATE), *more]
    assert sign("testKeySecret", string_to_sign(method, target, headers)) == signature


def test_only_its_own_headers_count_in_any_order_and_capitalisation() -> None:
    one = string_to_sign("GET", "/q", [("X-MNS-Version", "1"), ("x-mns-date", "2"), ("Accept", "*/*"), ("Date", DATE)])
    two = string_to_sign("GET", "/q", [("date", DATE), ("x-mns-date", "2"), ("x-mns-version", "1"), ("Host", "h")])
    assert one == two == f"GET\n\n\n{DATE}\nx-mns-date:2\nx-mns-version:1\n/q"
