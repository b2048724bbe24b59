"""Reading pictures, and the colour arithmetic that the benchmark protocol prescribes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Bytes", "crop_to_multiple", "image_paths", "load_rgb", "luma", "to_bytes", "to_yuv420"]

Bytes = NDArray[np.uint8]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}

# Source: ITU-R BT.601-7, section 2.5; the same digits as MATLAB's rgb2ycbcr, for 8-bit input.
_TO_YCBCR = (
    np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], dtype=np.float32) / 255
)
_OFFSET = np.array([16, 128, 128], dtype=np.float32)


def image_paths(folder: Path) -> list[Path]:
    """Every picture below a folder, in a stable order.

    Raises:
        FileNotFoundError: the folder holds no picture.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"no pictures ({', '.join(sorted(_SUFFIXES))}) in {folder}")
    return paths


def load_rgb(path: Path) -> Bytes:
    """``(H, W, 3)`` uint8 RGB."""
    with Image.open(path) as image:
        pixels: Bytes = np.asarray(image.convert("RGB"))
        return pixels


def crop_to_multiple(image: Bytes, multiple: int) -> Bytes:
    """Cut the right and bottom edge so that both sides are multiples of ``multiple``."""
    height, width = image.shape[:2]
    return image[: height - height % multiple, : width - width % multiple]


def to_bytes(samples: NDArray[np.floating]) -> Bytes:
    """Round to the nearest integer and clip to 0..255."""
    clipped: Bytes = np.clip(np.rint(samples), 0, 255).astype(np.uint8)
    return clipped


def luma(rgb: Bytes) -> Bytes:
    """``(H, W, 3)`` uint8 RGB to ``(H, W)`` uint8 BT.601 luma, 16..235."""
    return to_bytes(rgb @ _TO_YCBCR[0] + _OFFSET[0])


def to_yuv420(rgb: Bytes) -> Bytes:
    """``(H, W, 3)`` uint8 RGB, even sides, to the packed ``(H * 3 / 2, W)`` planes of a yuv420p frame."""
    ycbcr = rgb @ _TO_YCBCR.T + _OFFSET
    height, width = rgb.shape[:2]
    chroma = ycbcr[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
    planes = [to_bytes(ycbcr[..., 0]).ravel(), to_bytes(chroma[..., 0]).ravel(), to_bytes(chroma[..., 1]).ravel()]
    return np.concatenate(planes).reshape(height * 3 // 2, width)
