"""VMAF of several pictures against one truth, by an ffmpeg child that is fed with exactly the samples measured here.

All planes of a moment travel in one frame, below each other: so nothing can be paired wrongly, whatever times,
rotations and ranges the files have, and one pipe suffices.
"""

from __future__ import annotations

import csv
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from mediabroker.compare.luma import Samples, Scale
from mediabroker.errors import MediaError
from mediabroker.media.ffmpeg.process import run_ffmpeg

__all__ = ["MODELS", "SMALLEST_PX", "Vmaf"]

MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
"""NEG does not reward sharpening and contrast. Source: Netflix, libvmaf resource/doc/models.md."""
SMALLEST_PX = 32
"""VMAF halves the picture four times; libvmaf crashes on much smaller ones."""
_DEEPEST = 10
_FIFO, _LOG = "frames.yuv", "{index}.csv"
_OPEN_POLL_S = 0.02


class Vmaf:
    """A context in which each `feed` takes the truth and its rivals; `scores` ends the child and reads its figures.

    Args:
        size: width and height of every plane.
        scale: bits a sample; VMAF itself knows no range.
        rivals: how many planes are compared with the truth.
        every: score only each so-manieth moment. All have to be fed, because VMAF measures motion.
    """

    def __init__(self, binary: Path, size: tuple[int, int], scale: Scale, rivals: int, every: int) -> None:
        self._binary, self._scale, self._rivals, self._every = binary, scale, rivals, every
        self._width, self._height = size
        self._slot = self._height + self._height % 2
        self._error: MediaError | None = None
        self._pipe: int | None = None

    def __enter__(self) -> Vmaf:
        self._scratch = tempfile.TemporaryDirectory(prefix="mediabroker-vmaf-")
        self._folder = Path(self._scratch.name)
        os.mkfifo(self._folder / _FIFO)
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vmaf", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cancel.set()
        self._close()
        self._thread.join()
        self._scratch.cleanup()

    def feed(self, planes: Sequence[Samples]) -> None:
        """The truth, then each rival, all on the scale of this context.

        Raises:
            MediaError: the child has died.
        """
        if self._pipe is None:
            self._pipe = self._opened()
        frame = np.zeros((self._slot * len(planes), self._width), dtype=self._stored_type)
        for index, plane in enumerate(planes):
            frame[index * self._slot : index * self._slot + self._height] = self._fitted(plane)
        grey = np.full((frame.shape[0] // 2) * -(-self._width // 2) * 2, 1 << (self._bits - 1), self._stored_type)
        for part in (frame, grey):
            self._write(part.tobytes())

    def scores(self) -> Sequence[dict[str, list[float]]]:
        """For each rival the figures of the scored moments, in order, by the names in `MODELS`.

        Raises:
            MediaError: the child failed.
        """
        self._close()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return [self._read(self._folder / _LOG.format(index=index)) for index in range(self._rivals)]

    @property
    def _bits(self) -> int:
        return 8 if self._scale.bits <= 8 else _DEEPEST

    @property
    def _stored_type(self) -> type[np.uint8 | np.uint16]:
        return np.uint8 if self._bits == 8 else np.uint16

    def _fitted(self, plane: Samples) -> Samples:
        return plane if self._scale.bits == self._bits else plane >> (self._scale.bits - self._bits)

    def _run(self) -> None:
        try:
            run_ffmpeg(self._arguments(), binary=self._binary, cwd=self._folder, cancel=self._cancel)
        except MediaError as error:
            self._error = error

    def _arguments(self) -> list[str]:
        planes = self._rivals + 1
        names = [f"p{index}" for index in range(planes)]
        cut = "[cut{0}]crop={1}:{2}:0:{3}:exact=1[p{0}]"
        models = "|".join(f"version={version}\\\\:name={name}" for name, version in MODELS.items())
        threads = max(1, (os.cpu_count() or 1) // self._rivals)
        score = "[p{0}][t{1}]libvmaf=model={2}:n_threads={3}:n_subsample={4}:log_fmt=csv:log_path={5}[o{1}]"
        graph = [
            f"[0:v]split={planes}" + "".join(f"[cut{index}]" for index in range(planes)),
            *(cut.format(index, self._width, self._height, index * self._slot) for index in range(planes)),
            f"[{names[0]}]split={self._rivals}" + "".join(f"[t{index}]" for index in range(self._rivals)),
            *(
                score.format(index + 1, index, models, threads, self._every, _LOG.format(index=index))
                for index in range(self._rivals)
            ),
        ]
        pixels = "yuv420p" if self._bits == 8 else "yuv420p10le"
        size = f"{self._width}x{self._slot * planes}"
        reads = ["-f", "rawvideo", "-protocol_whitelist", "file", "-pixel_format", pixels, "-video_size", size]
        arguments = [*reads, "-framerate", "25", "-i", f"file:{_FIFO}", "-filter_complex", ";".join(graph)]
        for index in range(self._rivals):
            arguments += ["-map", f"[o{index}]", "-fps_mode", "passthrough", "-f", "null", "-"]
        return arguments

    def _opened(self) -> int:
        # Waits for the reader, but not for one that has died.
        while self._thread.is_alive():
            with suppress(OSError):
                pipe = os.open(self._folder / _FIFO, os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(pipe, True)
                return pipe
            time.sleep(_OPEN_POLL_S)
        raise self._died()

    def _write(self, data: bytes) -> None:
        assert self._pipe is not None
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._pipe, left) :]
            except BrokenPipeError:
                self._thread.join()
                raise self._died() from None

    def _died(self) -> MediaError:
        assert self._error is not None, "a child that ends well reads to the end"
        return self._error

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    @staticmethod
    def _read(log: Path) -> dict[str, list[float]]:
        figures: dict[str, list[float]] = {name: [] for name in MODELS}
        with log.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, values in figures.items():
                    values.append(float(row[name]))
        return figures
