"""XML from strangers: honest documents are read, all others are refused quickly."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.errors import MediaBrokerError
from mediabroker.markup import MARKUP_DEPTH_LIMIT, MARKUP_LIMIT_BYTES, MarkupError, load_markup, local_name

BOMB = b'<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]><a>&c;</a>'


def test_an_honest_document_is_read_with_and_without_a_namespace() -> None:
    for body in (b"<a><b>1</b></a>", b'<?xml version="1.0"?><x:a xmlns:x="urn:x"><x:b>1</x:b></x:a>'):
        root = load_markup(body)
        assert (local_name(root), [local_name(each) for each in root], root[0].text) == ("a", ["b"], "1")


def test_depth_is_allowed_up_to_its_limit() -> None:
    assert load_markup(b"<a>" * MARKUP_DEPTH_LIMIT + b"</a>" * MARKUP_DEPTH_LIMIT) is not None
    with pytest.raises(MarkupError, match="nested deeper"):
        load_markup(b"<a>" * (MARKUP_DEPTH_LIMIT + 1) + b"</a>" * (MARKUP_DEPTH_LIMIT + 1))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (BOMB, "DTDForbidden"),
        (b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>', "DTDForbidden"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "DTDForbidden"),
        (b"<a>&x;</a>", "undefined entity"),
        (b"<a>" * 300_000, "nested deeper"),
        (b"", "no element found"),
        (b"<a", "not XML"),
        (b"\xff\xfe", "not XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "encoding"),
        (b"<a>" + b" " * MARKUP_LIMIT_BYTES + b"</a>", "more than"),
    ],
)
def test_what_is_hostile_or_broken_is_refused_at_once(body: bytes, complaint: str) -> None:
    began = time.process_time()
    with pytest.raises(MarkupError, match=complaint):
        load_markup(body)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=100) | st.text("<>/a&;!?= '\"[]", max_size=60).map(str.encode))
def test_any_bytes_are_a_tree_or_refused(body: bytes) -> None:
    try:
        load_markup(body)
    except MarkupError as error:
        assert str(error)


def test_a_refused_document_is_caught_as_any_other_error_of_ours() -> None:
    for kind in (MediaBrokerError, ValueError):
        with pytest.raises(kind):
            load_markup(b"<a")
