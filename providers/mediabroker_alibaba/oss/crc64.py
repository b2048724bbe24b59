"""CRC-64/XZ of a whole from those of its parts: oss2 takes 20 ms a part for it; here, once for each size."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

__all__ = ["combine_crc64"]

_POLYNOMIAL = 0xC96C5795D7870F42  # reflected
_BITS = 64

Matrix = tuple[int, ...]


def combine_crc64(parts: Iterable[tuple[int, int]]) -> int:
    """The checksum of the concatenation; each part is its checksum and its size in bytes."""
    whole = 0
    for crc64, size_bytes in parts:
        whole = _times(_appending(size_bytes), whole) ^ crc64
    return whole


@lru_cache(maxsize=64)
def _appending(size_bytes: int) -> Matrix:
    """What so many zero bytes at the end do to a checksum, as a matrix over GF(2)."""
    step: Matrix = (_POLYNOMIAL, *(1 << n for n in range(_BITS - 1)))  # one zero bit
    for _ in range(3):
        step = _product(step, step)
    found: Matrix = tuple(1 << n for n in range(_BITS))
    while size_bytes:
        if size_bytes & 1:
            found = _product(step, found)
        step, size_bytes = _product(step, step), size_bytes >> 1
    return found


def _times(matrix: Matrix, vector: int) -> int:
    found = 0
    for column in matrix:
        if vector & 1:
            found ^= column
        vector >>= 1
    return found


def _product(left: Matrix, right: Matrix) -> Matrix:
    return tuple(_times(left, column) for column in right)
