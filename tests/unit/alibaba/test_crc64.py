"""Checksums of wholes from those of parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from oss2.utils import Crc64

from mediabroker_alibaba.oss.crc64 import combine_crc64


def crc_of(content: bytes) -> int:
    crc = Crc64()
    crc.update(content)
    return int(crc.crc)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_parts_combine_to_the_checksum_of_the_whole(parts: list[bytes]) -> None:
    assert combine_crc64((crc_of(part), len(part)) for part in parts) == crc_of(b"".join(parts))


def test_the_published_check_value_is_met() -> None:
    assert combine_crc64([(crc_of(b"12345"), 5), (crc_of(b"6789"), 4)]) == 11051210869376104954
