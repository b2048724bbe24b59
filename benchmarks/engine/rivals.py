"""What a sensible author of a script does with the same weights: default sessions and threads, same encoder settings.

`frames on disk` extracts PNGs, enlarges each and encodes them again. `serial` reads, infers and writes through pipes of
two ffmpeg processes: once in RGB, as such scripts do, once in YUV, as the network would like it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import imageio_ffmpeg
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.engine.clip import RATE_FPS
from benchmarks.engine.order import Order
from benchmarks.engine.ways import MODEL
from neuron_worker.runtimes import load_card

__all__ = ["RIVALS", "ready_frames_on_disk", "ready_serial_rgb", "ready_serial_yuv"]

_FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
_ENCODER = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"]

Plane = NDArray[np.uint8]
Upscale = Callable[[Plane], Plane]
Run = Callable[[], int]


class _Size(NamedTuple):
    width: int
    height: int


def ready_frames_on_disk(order: Order) -> Run:
    """Decode to PNG files, enlarge file by file, encode the files."""
    upscale = _session(order)
    small, large = order.folder / "small", order.folder / "large"
    small.mkdir()
    large.mkdir()

    def run() -> int:
        _ffmpeg("-i", order.clip, "-fps_mode", "passthrough", small / "%06d.png")
        paths = sorted(small.iterdir())
        for path in paths:
            with Image.open(path) as picture:
                _enlarge(picture.convert("RGB"), upscale).save(large / path.name)
        _ffmpeg("-framerate", RATE_FPS, "-i", large / "%06d.png", *_ENCODER, order.folder / "out.mp4")
        return len(paths)

    return run


def ready_serial_rgb(order: Order) -> Run:
    """Read an RGB frame, enlarge it, write it, read the next."""
    upscale, size = _session(order), _size_of(order.clip)

    def work(frame: Plane) -> bytes:
        picture = Image.fromarray(frame.reshape(size.height, size.width, 3))
        return _enlarge(picture, upscale).tobytes()

    return lambda: _through_pipes(order, size, "rgb24", 3 * size.width * size.height, work)


def ready_serial_yuv(order: Order) -> Run:
    """The same without any conversion of colours."""
    upscale, (width, height), scale = _session(order), _size_of(order.clip), order.scale
    luma = width * height
    chroma = luma // 4

    def work(frame: Plane) -> bytes:
        large = [upscale(frame[:luma].reshape(height, width)).tobytes()]
        for start in (luma, luma + chroma):
            plane = Image.fromarray(frame[start : start + chroma].reshape(height // 2, width // 2))
            large.append(plane.resize((width // 2 * scale, height // 2 * scale), Image.Resampling.BICUBIC).tobytes())
        return b"".join(large)

    return lambda: _through_pipes(order, _Size(width, height), "yuv420p", luma + 2 * chroma, work)


def _through_pipes(order: Order, size: _Size, layout: str, frame_bytes: int, work: Callable[[Plane], bytes]) -> int:
    raw = ["-f", "rawvideo", "-pix_fmt", layout]
    enlarged = f"{size.width * order.scale}x{size.height * order.scale}"
    read: list[Any] = [_FFMPEG, "-v", "error", "-i", order.clip, "-fps_mode", "passthrough", *raw, "-"]
    write: list[Any] = [_FFMPEG, "-v", "error", "-y", *raw, "-s", enlarged, "-r", str(RATE_FPS), "-i", "-"]
    frames = 0
    with (
        subprocess.Popen(read, stdout=subprocess.PIPE) as reader,
        subprocess.Popen([*write, *_ENCODER, order.folder / "out.mp4"], stdin=subprocess.PIPE) as writer,
    ):
        assert reader.stdout is not None
        assert writer.stdin is not None
        while content := reader.stdout.read(frame_bytes):
            writer.stdin.write(work(np.frombuffer(content, np.uint8)))
            frames += 1
        writer.stdin.close()
    return frames


def _enlarge(picture: Image.Image, upscale: Upscale) -> Image.Image:
    luma, *chroma = picture.convert("YCbCr").split()
    large = Image.fromarray(upscale(np.asarray(luma)))
    planes = [plane.resize(large.size, Image.Resampling.BICUBIC) for plane in chroma]
    return Image.merge("YCbCr", (large, *planes)).convert("RGB")


def _session(order: Order) -> Upscale:
    card = load_card(MODEL, order.scale)
    name = card.name_of(".onnx" if order.variant == "fp32" else "-int8.onnx")
    session = onnxruntime.InferenceSession(str(card.folder / name), providers=["CPUExecutionProvider"])

    def upscale(luma: Plane) -> Plane:
        result: Plane = session.run(None, {session.get_inputs()[0].name: luma[np.newaxis, np.newaxis]})[0][0, 0]
        return result

    return upscale


def _size_of(clip: Path) -> _Size:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return _Size(stream.width, stream.height)


def _ffmpeg(*words: object) -> None:
    subprocess.run([_FFMPEG, "-v", "error", "-y", *map(str, words)], check=True)


RIVALS = {
    "frames on disk": ready_frames_on_disk,
    "serial rgb": ready_serial_rgb,
    "serial yuv": ready_serial_yuv,
}
