"""Large frames in pieces: overlapping windows whose results, cropped and joined, equal the result of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from neuron_worker.runtimes.protocol import Luma

__all__ = ["Tile", "list_tiles", "upscale_in_tiles"]


class Tile(NamedTuple):
    """One window, in pixels of the source: [top, bottom) x [left, right) goes into the network, and of its result
    [inner_top, inner_bottom) x [inner_left, inner_right) is kept."""

    top: int
    bottom: int
    left: int
    right: int
    inner_top: int
    inner_bottom: int
    inner_left: int
    inner_right: int


def list_tiles(height: int, width: int, *, tile_height: int, tile_width: int, overlap: int) -> Iterator[Tile]:
    """Windows that together keep every pixel once, each `tile_height` x `tile_width` unless the frame is smaller.

    All borders are even, as the network takes pixels in blocks of two. `overlap` is at least the network's receptive
    radius, so that what is kept never depends on where a window was cut; the frame's own border is never moved: the
    last window of a row or column ends with the frame and overlaps more.

    Raises:
        ValueError: the overlap leaves nothing of a tile.
    """
    for top, bottom, inner_top, inner_bottom in _spans(height, tile_height, overlap):
        for left, right, inner_left, inner_right in _spans(width, tile_width, overlap):
            yield Tile(top, bottom, left, right, inner_top, inner_bottom, inner_left, inner_right)


def upscale_in_tiles(
    upscale: Callable[[Luma], Luma], luma: Luma, scale: int, *, tile_height: int, tile_width: int, overlap: int
) -> Luma:
    """`upscale(luma)` with windows of bounded size, all about equally large, so that little is computed twice.

    Args:
        upscale: `(N, C, h, w)` to `(N, C, scale*h, scale*w)`.
        luma: `(N, C, H, W)`, even sides.
        scale: of the network.
        tile_height: largest window, in source pixels.
        tile_width: likewise.
        overlap: at least the receptive radius, in source pixels.
    """
    count, channels, height, width = luma.shape
    result = np.empty((count, channels, height * scale, width * scale), luma.dtype)
    rows_px, columns_px = _evenly(height, tile_height, overlap), _evenly(width, tile_width, overlap)
    for tile in list_tiles(height, width, tile_height=rows_px, tile_width=columns_px, overlap=overlap):
        window = np.ascontiguousarray(luma[:, :, tile.top : tile.bottom, tile.left : tile.right])
        large = upscale(window)
        rows = slice((tile.inner_top - tile.top) * scale, (tile.inner_bottom - tile.top) * scale)
        columns = slice((tile.inner_left - tile.left) * scale, (tile.inner_right - tile.left) * scale)
        target_rows = slice(tile.inner_top * scale, tile.inner_bottom * scale)
        target_columns = slice(tile.inner_left * scale, tile.inner_right * scale)
        result[:, :, target_rows, target_columns] = large[:, :, rows, columns]
    return result


def _evenly(length: int, tile: int, overlap: int) -> int:
    """The smallest even tile that covers `length` with no more windows than `tile` does."""
    shared, largest = 2 * (overlap + overlap % 2), tile - tile % 2
    if length <= tile or largest <= shared:
        return tile
    windows = -(-(length - shared) // (largest - shared))
    needed = -(-(length + (windows - 1) * shared) // windows)
    return needed + needed % 2


def _spans(length: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    if length <= tile:
        yield 0, length, 0, length
        return
    overlap += overlap % 2
    tile -= tile % 2
    if tile <= 2 * overlap:
        raise ValueError(f"tiles of {tile} pixels with an overlap of {overlap} keep nothing")
    kept = 0
    while kept < length:
        start = max(0, min(kept - overlap, length - tile))
        end = start + tile
        until = length if end == length else end - overlap
        yield start, end, kept, until
        kept = until
