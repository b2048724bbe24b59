"""One picture, enlarged: luma by the network, colour and transparency by bicubic; or RGB by networks that take it.

Luma is BT.601's, 16..235 for 8 bits, as in training and in the published benchmarks; samples stay floating-point from
the file to the result. Large pictures go through in tiles, so that only the picture and its enlargement are in memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.failures import InterruptedWorkError
from neuron_worker.runtimes import Runtime
from neuron_worker.tiles import upscale_in_tiles

__all__ = ["Picture", "enlarge", "mark_of", "read_picture", "write_png"]

_Samples = NDArray[np.float32]

_TILE_PX = 512
_BICUBIC_REACH_PX = 4
_MARK = "mediabroker"
_DEEP_GRAY = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_UNKEPT = frozenset({"CMYK", "F", "HSV", "LAB"})
_PLAIN = frozenset({"L", "LA", "RGB", "RGBA"})
_LIMITS = {8: 255, 16: 65535}
_GRAY_STEPS = {"L;2": 85, "L;4": 17}
"""How far samples of few bits are spread over 8, by Pillow's names for PNG's forms of them."""
_DEEP_SAMPLES = re.compile(r"I;16.*|.*;16[BLN]")
"""Pillow's names for samples of 16 bits; `BGR;16` and the like are 16 bits for all three samples together."""

# Source: ITU-R BT.601-7, section 2.5.1: luma and colour differences of R'G'B', and section 2.5.3: their 8-bit ranges.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_LUMA_RANGE, _LUMA_OFFSET = 219 / 255, 16 / 255


class Picture(NamedTuple):
    """`samples` are `(1, C, H, W)` uint8 or uint16: gray, gray and alpha, RGB, or RGB and alpha. `bits`: 8 or 16.
    `profile` is the ICC profile that says what the colours mean."""

    samples: NDArray[np.unsignedinteger]
    bits: int
    profile: bytes | None


def read_picture(path: Path) -> Picture:
    """A still picture, turned upright.

    Raises:
        MediaError: `MEDIA_CORRUPT` or `INPUT_NOT_FOUND`, it cannot be read; `MEDIA_UNSUPPORTED`, something of it would
            be lost: an animation, colour of more than 8 bits, transparency beside 16-bit gray, CMYK;
            `OUT_OF_RESOURCES`, it is too large.
    """
    try:
        with Image.open(path) as image:
            _check(path, image)
            _spread_transparent_gray(image)
            return _picture(path, ImageOps.exif_transpose(image), image.info.get("icc_profile"))
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} is no picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise MediaError(ErrorCode.OUT_OF_RESOURCES, f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{path} is not there") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} cannot be read: {error}") from error


def enlarge(picture: Picture, runtime: Runtime, scale: int, *, overlap: int, deep: bool, stop: Event) -> Picture:
    """The picture `scale` times as large.

    Args:
        picture: any.
        runtime: of that scale.
        scale: 2 or 4.
        overlap: the network's receptive radius in pixels.
        deep: whether the runtime was loaded for floating-point samples; the others get 8 bits.
        stop: set it to end the work at the next tile.

    Raises:
        InterruptedWorkError: `stop` was set.
        MediaError: `MEDIA_UNSUPPORTED`, 16 bits for a runtime that takes 8.
    """
    limit = _LIMITS[picture.bits]
    if picture.bits > 8 and not deep:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"runtime {runtime.name} takes 8 bits a sample, not 16")

    def one_tile(samples: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        if stop.is_set():
            raise InterruptedWorkError("told to stop")
        large = _enlarged(samples[0].astype(np.float32) / limit, runtime, scale, deep=deep)
        return np.clip(np.rint(large * limit), 0, limit).astype(samples.dtype)[np.newaxis]

    height, width = picture.samples.shape[2:]
    padded = np.pad(picture.samples, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    reach = max(overlap, _BICUBIC_REACH_PX)
    large = upscale_in_tiles(one_tile, padded, scale, tile_height=_TILE_PX, tile_width=_TILE_PX, overlap=reach)
    return picture._replace(samples=large[:, :, : height * scale, : width * scale])


def write_png(path: Path, picture: Picture, mark: str) -> None:
    """Write a PNG that carries `mark`, by which it is known again."""
    planes = picture.samples[0]
    shaped = np.ascontiguousarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))
    told = PngInfo()
    told.add_text(_MARK, mark)
    with path.open("wb") as file:
        Image.fromarray(shaped).save(file, "PNG", pnginfo=told, icc_profile=picture.profile)


def mark_of(path: Path) -> str | None:
    """The mark of a picture that `write_png` wrote; None for any other file."""
    try:
        # Only the header is read, so the limit that `Image.open` sets for pictures that are decoded is out of place.
        with PngImageFile(path) as image:
            found = image.info.get(_MARK)
    except (OSError, SyntaxError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _check(path: Path, image: ImageFile) -> None:
    reason = None
    if getattr(image, "n_frames", 1) > 1:
        reason = "has several pictures; an animation is upscaled as a video"
    elif _stored_deep(image) and image.mode not in _DEEP_GRAY:
        reason = "has colour of 16 bits a sample, of which 8 would be lost"
    elif image.mode in _DEEP_GRAY and "transparency" in image.info:
        reason = "has transparency beside 16-bit gray, which the result cannot hold"
    elif image.mode in _UNKEPT:
        reason = f"stores samples as {image.mode}, which would have to be converted"
    if reason:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} {reason}")


def _stored_deep(image: ImageFile) -> bool:
    # Pillow opens 16-bit colour as 8-bit without a word; only the decoder's arguments tell.
    arguments = [tile[3] for tile in image.tile]
    names = [str(each[0] if isinstance(each, tuple) and each else each) for each in arguments]
    return any(_DEEP_SAMPLES.fullmatch(name) for name in names)


def _spread_transparent_gray(image: ImageFile) -> None:
    # Pillow spreads the samples when it decodes them, but not the one that PNG names as transparent.
    named = image.info.get("transparency")
    if isinstance(image, PngImageFile) and image.mode == "L" and isinstance(named, int):
        image.info["transparency"] = named * _GRAY_STEPS.get(str(image.tile[0][3]), 1)


def _picture(path: Path, image: Image.Image, profile: bytes | None) -> Picture:
    if image.mode in _DEEP_GRAY:
        samples = np.asarray(image)
        if int(samples.max(initial=0)) > _LIMITS[16] or int(samples.min(initial=0)) < 0:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} has samples that 16 bits from zero on do not hold")
        return Picture(samples.astype(np.uint16)[np.newaxis, np.newaxis], 16, profile)
    if image.mode not in _PLAIN or "transparency" in image.info:
        plain = "L" if image.mode == "1" else "RGB"
        image = image.convert("RGBA" if image.has_transparency_data else plain)
    samples = np.asarray(image)
    if samples.size == 0:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} has no pixels")
    planes = samples[np.newaxis] if samples.ndim == 2 else samples.transpose(2, 0, 1)
    return Picture(np.ascontiguousarray(planes)[np.newaxis], 8, profile)


def _enlarged(planes: _Samples, runtime: Runtime, scale: int, *, deep: bool) -> _Samples:
    """`(C, h, w)` in 0..1 to `(C, scale*h, scale*w)`."""
    alpha = planes[-1:] if len(planes) in {2, 4} else planes[:0]
    colour = planes[: len(planes) - len(alpha)]
    if runtime.channels == 3:
        rgb = _network(runtime, np.repeat(colour, 3, axis=0) if len(colour) == 1 else colour, deep=deep)
        large = rgb.mean(axis=0, keepdims=True) if len(colour) == 1 else rgb
    elif len(colour) == 1:
        large = (_network(runtime, colour * _LUMA_RANGE + _LUMA_OFFSET, deep=deep) - _LUMA_OFFSET) / _LUMA_RANGE
    else:
        large = _rgb_by_luma(colour, runtime, scale, deep=deep)
    return np.concatenate([large, *(_bicubic(plane, scale)[np.newaxis] for plane in alpha)])


def _rgb_by_luma(rgb: _Samples, runtime: Runtime, scale: int, *, deep: bool) -> _Samples:
    luma = _RED * rgb[0] + _GREEN * rgb[1] + _BLUE * rgb[2]
    large = (_network(runtime, (luma * _LUMA_RANGE + _LUMA_OFFSET)[np.newaxis], deep=deep)[0] - _LUMA_OFFSET) / (
        _LUMA_RANGE
    )
    red = large + _bicubic(rgb[0] - luma, scale)
    blue = large + _bicubic(rgb[2] - luma, scale)
    green = (large - _RED * red - _BLUE * blue) / _GREEN
    return np.stack([red, green, blue])


def _network(runtime: Runtime, planes: _Samples, *, deep: bool) -> _Samples:
    if deep:
        fine: _Samples = runtime.upscale(np.ascontiguousarray(planes[np.newaxis], np.float32))[0]
        return fine
    coarse = np.clip(np.rint(planes * 255), 0, 255).astype(np.uint8)
    large: _Samples = runtime.upscale(coarse[np.newaxis])[0].astype(np.float32) / 255
    return large


def _bicubic(plane: _Samples, scale: int) -> _Samples:
    height, width = plane.shape
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((width * scale, height * scale), Image.Resampling.BICUBIC))
