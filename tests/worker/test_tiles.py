"""Tiles: every pixel once, and the same result as the whole frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.runtimes import Luma, load_card
from neuron_worker.runtimes.golden import golden_tile
from neuron_worker.runtimes.onnx import OnnxRuntime
from neuron_worker.tiles import list_tiles, upscale_in_tiles

EVEN = st.integers(1, 150).map(lambda half: 2 * half)


@given(EVEN, EVEN, st.integers(10, 60).map(lambda half: 2 * half), st.integers(0, 4))
def test_tiles_keep_every_pixel_once_and_stay_inside(height: int, width: int, tile: int, overlap: int) -> None:
    kept = np.zeros((height, width), int)
    for each in list_tiles(height, width, tile_height=tile, tile_width=tile, overlap=overlap):
        kept[each.inner_top : each.inner_bottom, each.inner_left : each.inner_right] += 1
        assert 0 <= each.top <= each.inner_top < each.inner_bottom <= each.bottom <= height
        assert 0 <= each.left <= each.inner_left < each.inner_right <= each.right <= width
        assert each.bottom - each.top <= tile
        assert each.right - each.left <= tile
        assert each.top % 2 == each.left % 2 == each.bottom % 2 == each.right % 2 == 0
        # What is kept lies an overlap away from every border that the frame itself does not have.
        assert each.top == 0 or each.inner_top - each.top >= overlap
        assert each.bottom == height or each.bottom - each.inner_bottom >= overlap
    assert (kept == 1).all()


def test_overlap_that_leaves_nothing_of_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="keep nothing"):
        list(list_tiles(100, 100, tile_height=20, tile_width=20, overlap=10))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("variant", ["fp32", "int8"])
@pytest.mark.parametrize("size", [(180, 250), (64, 300), (130, 66)])
def test_tiled_result_equals_the_untiled_one_exactly(size: tuple[int, int], variant: str, scale: int) -> None:
    card = load_card("fast", scale)
    frame = golden_tile(*size)
    whole = OnnxRuntime(card, variant, 1, tile_px=4096).upscale(frame)
    tiled = OnnxRuntime(card, variant, 1, tile_px=96).upscale(frame)
    assert whole.shape == (1, 1, size[0] * scale, size[1] * scale)
    assert np.array_equal(whole, tiled)


def test_tiled_deep_result_equals_the_untiled_one_within_rounding() -> None:
    card = load_card("fast", 2)
    frame = golden_tile(180, 250).astype(np.float32) / 255
    whole = OnnxRuntime(card, "deep", 1, tile_px=4096).upscale(frame)
    tiled = OnnxRuntime(card, "deep", 1, tile_px=96).upscale(frame)
    assert np.abs(whole - tiled).max() < 1e-4


def test_too_small_an_overlap_would_show() -> None:
    card = load_card("fast", 2)
    runtime = OnnxRuntime(card, "fp32", 1, tile_px=4096)
    frame = golden_tile(180, 250)
    seamed = upscale_in_tiles(runtime.upscale, frame, 2, tile_height=96, tile_width=96, overlap=0)
    assert not np.array_equal(seamed, runtime.upscale(frame))


@given(EVEN, EVEN, st.integers(30, 60).map(lambda half: 2 * half))
def test_little_is_computed_twice(height: int, width: int, tile: int) -> None:
    given, overlap = [], 4

    def upscale(window: Luma) -> Luma:
        given.append(window.shape[2:])
        return window.repeat(2, 2).repeat(2, 3)

    frame = golden_tile(height, width)
    large = upscale_in_tiles(upscale, frame, 2, tile_height=tile, tile_width=tile, overlap=overlap)
    assert np.array_equal(large, frame.repeat(2, 2).repeat(2, 3))
    assert max(max(each) for each in given) <= max(tile, 2)
    rows, columns = -(-height // (tile - 2 * overlap)), -(-width // (tile - 2 * overlap))
    most = (height + rows * (2 * overlap + 2)) * (width + columns * (2 * overlap + 2))
    assert sum(rows * columns for rows, columns in given) <= most
