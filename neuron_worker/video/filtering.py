"""FFmpeg's filters on single frames, which keep what a frame carries beside its samples: captions, light levels."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

from av import VideoFrame
from av.filter import Graph

__all__ = ["FrameFilter"]


class FrameFilter:
    """One filter that gives one frame for each frame; all are of one size and format. Not thread-safe."""

    def __init__(self, name: str, arguments: str) -> None:
        self._name, self._arguments = name, arguments
        self._graph: Graph | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        if self._graph is None:
            self._graph = self._built_for(frame)
        self._graph.push(frame)
        return cast("VideoFrame", self._graph.pull())

    def _built_for(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
        )
        graph.link_nodes(source, graph.add(self._name, self._arguments), graph.add("buffersink")).configure()
        return graph
